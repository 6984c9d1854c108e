package main

import "syscall"

// childOfOurs ends a child with its parent, even one that is killed without a word.
func childOfOurs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
