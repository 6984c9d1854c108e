package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress shows how far something is: on a terminal a bar that changes in place, elsewhere
// a line every ten seconds, so that a log stays short.
type progress struct {
	w     io.Writer
	bar   *progressbar.ProgressBar // nil: no terminal
	width int                      // columns of the terminal
	every time.Duration
	last  time.Time
	shown bool
}

const (
	barSteps = 1000 // of the whole
	barWidth = 30   // columns; fewer on a narrow terminal
	barFrame = 10   // columns beside bar and text: percentage, ends, blanks
)

func newProgress(w io.Writer) *progress {
	p := &progress{w: w, every: 10 * time.Second, last: time.Now()}
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return p
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 40 {
		width = 80
	}
	p.width, p.every, p.last = width, 100*time.Millisecond, time.Time{}
	// One step more than there are: a bar that is full is taken away, and whoever calls at
	// says when that is.
	p.bar = progressbar.NewOptions64(barSteps+1,
		progressbar.OptionSetWriter(w), progressbar.OptionSetWidth(barWidth), progressbar.OptionUseANSICodes(true),
		progressbar.OptionSetElapsedTime(false), progressbar.OptionSetPredictTime(false), progressbar.OptionShowDescriptionAtLineEnd(),
		progressbar.OptionSetTheme(progressbar.Theme{Saucer: "█", SaucerPadding: "░", BarStart: "", BarEnd: ""}))
	return p
}

// due says whether it is time to show something again.
func (p *progress) due() bool {
	now := time.Now()
	if now.Sub(p.last) < p.every {
		return false
	}
	p.last = now
	return true
}

// at shows that part of the whole, 0 to 1, is done.
func (p *progress) at(part float64, format string, args ...any) {
	if !p.due() {
		return
	}
	text := strings.TrimSpace(fmt.Sprintf(format, args...))
	part = min(max(part, 0), 1)
	if p.bar == nil {
		fmt.Fprintf(p.w, "%.0f%%, %s\n", part*100, text)
		return
	}
	p.bar.Describe(cut(text, p.width-barFrame-barWidth/2)) // on a narrow terminal the bar gives way first
	p.bar.Set64(int64(part * barSteps))
	p.shown = true
}

// say is at where nobody knows how much the whole is.
func (p *progress) say(format string, args ...any) {
	if !p.due() {
		return
	}
	text := strings.TrimSpace(fmt.Sprintf(format, args...))
	if p.bar == nil {
		fmt.Fprintln(p.w, text)
		return
	}
	fmt.Fprintf(p.w, "\r\x1b[K%s", cut(text, p.width-1))
	p.shown = true
}

// end takes the line away: what follows says how it ended.
func (p *progress) end() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.shown = false
	}
}

// cut keeps a text on its line.
func cut(s string, most int) string {
	if r := []rune(s); len(r) > max(most, 1) {
		return string(r[:max(most, 1)-1]) + "…"
	}
	return s
}

// lasting writes how long something takes as people say it: 12 s, 3 min 20 s, 1 h 5 min.
func lasting(d time.Duration) string {
	d = d.Round(time.Second)
	switch h, m, s := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60; {
	case d < time.Minute:
		return fmt.Sprintf("%d s", s)
	case d < time.Hour && s == 0:
		return fmt.Sprintf("%d min", m)
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", m, s)
	case h >= 48:
		return fmt.Sprintf("%d days %d h", h/24, h%24)
	case m == 0:
		return fmt.Sprintf("%d h", h)
	default:
		return fmt.Sprintf("%d h %d min", h, m)
	}
}
