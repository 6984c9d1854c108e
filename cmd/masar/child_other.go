//go:build !linux

package main

import "syscall"

// childOfOurs: nothing ties a child to its parent here.
func childOfOurs() *syscall.SysProcAttr { return nil }
