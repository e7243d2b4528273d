//go:build wasip1

// Command guest is a Go module with which the engine is tested: the key "do"
// says what it does.
package main

import (
	"fmt"
	"math/rand"
	"os"
	"strings"
	"time"
	"unsafe"
)

//go:wasmimport bespoke_1 read
func read(key unsafe.Pointer, keyLen uint32, buf unsafe.Pointer, bufCap uint32) int64

//go:wasmimport bespoke_1 emit
func emit(op uint32, target unsafe.Pointer, targetLen uint32, a unsafe.Pointer, aLen uint32, b unsafe.Pointer, bLen uint32) int32

func get(key string) string {
	buf := make([]byte, 1024)
	n := read(unsafe.Pointer(unsafe.StringData(key)), uint32(len(key)), unsafe.Pointer(&buf[0]), uint32(len(buf)))
	if n < 0 {
		return ""
	}
	return string(buf[:n])
}

func text(target, s string) int32 {
	return emit(1, unsafe.Pointer(unsafe.StringData(target)), uint32(len(target)), unsafe.Pointer(unsafe.StringData(s)), uint32(len(s)), nil, 0)
}

var (
	kept    []string // what earlier runs read
	hoard   [][]byte
	started = get("secret") // nothing can be read before a run
)

func init() {
	fmt.Println("init says hello")
	text("#init", "too early")
}

//go:wasmexport on_request
func onRequest() {}

//go:wasmexport on_response
func onResponse() {
	switch get("do") {
	case "remember":
		secret := get("secret")
		text("#kept", strings.Join(kept, ",")+started)
		kept = append(kept, secret)
		os.Setenv("SECRET", secret)
		text("#env", fmt.Sprint(len(os.Environ())))
	case "chance":
		m := map[int]bool{}
		for i := range 20 {
			m[i] = true
		}
		order := []int{}
		for i := range m {
			order = append(order, i)
		}
		begin := time.Now()
		time.Sleep(time.Hour)
		wake := make(chan bool)
		go func() { time.Sleep(time.Minute); wake <- true }()
		<-wake
		text("#chance", fmt.Sprint(order, rand.Int(), begin.UTC().Format(time.RFC3339), time.Since(begin), os.Args))
	case "files":
		_, read := os.ReadFile("/etc/passwd")
		write := os.WriteFile("x", nil, 0o600)
		n, stdin := os.Stdin.Read(make([]byte, 10))
		text("#files", fmt.Sprint(read != nil, write != nil, n, stdin))
	case "print":
		fmt.Print("one", "\ntwo\n\nthr")
		println("beside")
		fmt.Print("ee\nfour")
	case "panic":
		panic("no good")
	case "exit":
		os.Exit(7)
	case "hoard":
		for {
			hoard = append(hoard, make([]byte, 1<<20))
			hoard[len(hoard)-1][0] = 1
		}
	case "recurse":
		text("#depth", fmt.Sprint(deeper(1)))
	case "deadlock":
		select {}
	case "loop":
		for {
		}
	}
}

func deeper(n int) int { return deeper(n+1) + n }

func main() {}
