package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// benchProcess is one of the three processes.
type benchProcess struct {
	cmd  *exec.Cmd
	name string
	out  bytes.Buffer
	ends chan struct{}

	lines chan string // of its standard error, the first hundred
	errs  bytes.Buffer
	err   error
}

func startBench(ctx context.Context, self string, cores int, args ...string) (*benchProcess, error) {
	name := args[0]
	if cores > 0 && cores < runtime.NumCPU() {
		if path, err := exec.LookPath("taskset"); err == nil {
			args = append([]string{"-c", fmt.Sprintf("0-%d", cores-1), self}, args...)
			self = path
		}
	}
	p := &benchProcess{cmd: exec.CommandContext(ctx, self, args...), name: name, ends: make(chan struct{}), lines: make(chan string, 100)}
	p.cmd.Stdout = &p.out
	p.cmd.SysProcAttr = childOfOurs()
	errs, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		for s := bufio.NewScanner(errs); s.Scan(); {
			p.errs.WriteString(s.Text() + "\n")
			select {
			case p.lines <- s.Text():
			default:
			}
		}
		p.err = p.cmd.Wait()
		close(p.ends)
	}()
	return p, nil
}

// await returns what follows mark on the first line that holds it.
func (p *benchProcess) await(mark string, limit time.Duration) (string, error) {
	t := time.NewTimer(limit)
	defer t.Stop()
	for {
		select {
		case line := <-p.lines:
			if _, rest, found := strings.Cut(line, mark); found {
				return strings.TrimSpace(rest), nil
			}
		case <-p.ends:
			return "", fmt.Errorf("%s ended: %w\n%s", p.name, p.err, p.errs.String())
		case <-t.C:
			return "", fmt.Errorf("%s did not say %q", p.name, mark)
		}
	}
}

func (p *benchProcess) wait() { <-p.ends }

// said is what a process that has ended wrote to standard error; one that runs is stopped first.
func (p *benchProcess) said() string {
	p.stop()
	return p.errs.String()
}

// stop asks the process to end and waits for it.
func (p *benchProcess) stop() error {
	p.cmd.Process.Signal(syscall.SIGTERM)
	t := time.NewTimer(40 * time.Second)
	defer t.Stop()
	select {
	case <-p.ends:
		if p.err != nil {
			return fmt.Errorf("%s: %w\n%s", p.name, p.err, p.errs.String())
		}
		return nil
	case <-t.C:
		p.cmd.Process.Kill()
		<-p.ends
		return fmt.Errorf("%s did not stop", p.name)
	}
}
