// Goroutines: see ../peer.h for what a peer's program takes and prints.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const seed = 88172645463325252

var silent bool

type watch struct {
	wall time.Time
	cpu  int64
}

func cpuTime() int64 {
	const processCPU = 2
	var now syscall.Timespec
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, processCPU, uintptr(unsafe.Pointer(&now)), 0)
	return now.Nano()
}

func start() watch {
	return watch{cpu: cpuTime(), wall: time.Now()}
}

func value(name, what string, number float64, unit string) {
	if !silent {
		fmt.Printf("%s.%s %.3f %s\n", name, what, number, unit)
	}
}

func (w watch) stop(name string, operations int) {
	wall, cpu := time.Since(w.wall).Nanoseconds(), cpuTime()-w.cpu
	value(name, "wall", float64(wall)/float64(operations), "ns")
	value(name, "cpu", float64(cpu)/float64(operations), "ns")
}

func check(done bool, name string) {
	if !done {
		fmt.Fprintf(os.Stderr, "%s: the work was not done\n", name)
		os.Exit(1)
	}
}

func random(state *uint64) uint64 {
	x := *state
	x ^= x << 13
	x ^= x >> 7
	x ^= x << 17
	*state = x
	return x
}

func resident() float64 {
	text, _ := os.ReadFile("/proc/self/statm")
	fields := strings.Fields(string(text))
	pages, _ := strconv.ParseFloat(fields[1], 64)
	return pages * float64(os.Getpagesize())
}

var allowed [16]uint64

// bind binds the calling thread to the place-th CPU that is allowed.
func bind(place int) {
	var chosen [16]uint64
	for cpu := 0; cpu < 1024; cpu++ {
		if allowed[cpu/64]>>(cpu%64)&1 == 0 {
			continue
		}
		if place == 0 {
			chosen[cpu/64] = 1 << (cpu % 64)
			break
		}
		place--
	}
	syscall.Syscall(syscall.SYS_SCHED_SETAFFINITY, 0, 128, uintptr(unsafe.Pointer(&chosen)))
}

func yield(name string, divisor int) {
	turns := 2000000 / divisor
	var both sync.WaitGroup
	both.Add(2)
	w := start()
	for i := 0; i < 2; i++ {
		go func() {
			for k := 0; k < turns; k++ {
				runtime.Gosched()
			}
			both.Done()
		}()
	}
	both.Wait()
	w.stop(name, 2*turns)
}

func spawn(name string, divisor int) {
	const alive = 1000
	batches := 1000 / divisor
	var ran int64
	var all sync.WaitGroup
	w := start()
	for i := 0; i < batches; i++ {
		all.Add(alive)
		for k := 0; k < alive; k++ {
			go func() {
				atomic.AddInt64(&ran, 1)
				all.Done()
			}()
		}
		all.Wait()
	}
	w.stop(name, batches*alive)
	check(ran == int64(batches*alive), name)
}

// talk sends count numbers there, and has each sent back.
func talk(name string, count int, apart bool) {
	there, back, sum := make(chan int), make(chan int), make(chan int)
	w := start()
	go func() {
		if apart {
			runtime.LockOSThread()
			bind(1)
		}
		total := 0
		for number := range there {
			total += number
			back <- number
		}
		sum <- total
	}()
	go func() {
		if apart {
			runtime.LockOSThread()
			bind(0)
		}
		for i := 0; i < count; i++ {
			there <- i
			check(<-back == i, name)
		}
		close(there)
	}()
	total := <-sum
	w.stop(name, 2*count)
	check(total == count*(count-1)/2, name)
}

func channel(name string, divisor int) {
	talk(name, 1000000/divisor, false)
}

func wake(name string, divisor int) {
	talk(name, 20000/divisor, true)
}

func useMutex(name string, count int) {
	var mutex sync.Mutex
	done := 0
	w := start()
	for i := 0; i < count; i++ {
		mutex.Lock()
		done++
		mutex.Unlock()
	}
	w.stop(name, count)
	check(done == count, name)
}

func useChannel(name string, count int) {
	room := make(chan int, 1)
	done := 0
	w := start()
	for i := 0; i < count; i++ {
		room <- 1
		done += <-room
	}
	w.stop(name, count)
	check(done == count, name)
}

func useScope(name string, count int) {
	done := 0
	w := start()
	for i := 0; i < count; i++ {
		scope, cancel := context.WithTimeout(context.Background(), time.Hour)
		if scope.Err() == nil {
			done++
		}
		cancel()
	}
	w.stop(name, count)
	check(done == count, name)
}

type variable struct{}

func useVar(name string, count int) {
	has := context.WithValue(context.Background(), variable{}, 1)
	done := 0
	w := start()
	for i := 0; i < count; i++ {
		done += has.Value(variable{}).(int)
	}
	w.stop(name, count)
	check(done == count, name)
}

// uncontended is what meets nobody. Go's standard library has no semaphore.
func uncontended(name string, divisor int) {
	uses := []struct {
		name string
		use  func(name string, count int)
	}{{".mutex", useMutex}, {".channel", useChannel}, {".scope", useScope}, {".var", useVar}}
	ended := make(chan struct{})
	for _, one := range uses {
		one := one
		go func() {
			one.use(name+one.name, 5000000/divisor)
			ended <- struct{}{}
		}()
		<-ended
	}
}

func grow(out chan int, number, leaves int) {
	if leaves == 1 {
		out <- number
		return
	}
	parts := make(chan int)
	for i := 0; i < 10; i++ {
		go grow(parts, number+i*(leaves/10), leaves/10)
	}
	sum := 0
	for i := 0; i < 10; i++ {
		sum += <-parts
	}
	out <- sum
}

func skynet(name string, divisor int) {
	leaves := 1000000 / divisor
	out := make(chan int)
	w := start()
	go grow(out, 0, leaves)
	sum := <-out
	w.stop(name, leaves)
	check(sum == leaves*(leaves-1)/2, name)
}

func fibOf(n int) int {
	if n < 2 {
		return n
	}
	var before int
	var joined sync.WaitGroup
	joined.Add(1)
	go func() {
		before = fibOf(n - 1)
		joined.Done()
	}()
	sum := fibOf(n - 2)
	joined.Wait()
	return before + sum
}

func fib(name string, divisor int) {
	n, forks, wanted := 32, 3524577, 2178309
	if divisor > 1 {
		n, forks, wanted = 27, 317810, 196418
	}
	done := make(chan int)
	w := start()
	go func() { done <- fibOf(n) }()
	sum := <-done
	w.stop(name, forks)
	check(sum == wanted, name)
}

func sleep(name string, divisor int) {
	count := 1000000 / divisor
	state := uint64(seed)
	var slept, early int64
	var all sync.WaitGroup
	all.Add(count)
	w := start()
	for i := 0; i < count; i++ {
		length := time.Duration(random(&state) % uint64(count*1000))
		look := i%1000 == 0
		go func() {
			from := time.Now()
			time.Sleep(length)
			if look && time.Since(from) < length {
				atomic.AddInt64(&early, 1)
			}
			atomic.AddInt64(&slept, 1)
			all.Done()
		}()
	}
	all.Wait()
	w.stop(name, count)
	check(slept == int64(count) && early == 0, name)
}

func farAway(state *uint64) time.Duration {
	return time.Duration(1000+random(state)%60000) * time.Millisecond
}

func oneTimer(name string, divisor int) {
	count := 2000000 / divisor
	state := uint64(seed)
	w := start()
	for i := 0; i < count; i++ {
		check(time.AfterFunc(farAway(&state), func() {}).Stop(), name)
	}
	w.stop(name, count)
}

func manyTimers(name string, divisor int) {
	timers := make([]*time.Timer, 1000000/divisor)
	state := uint64(seed)
	w := start()
	for i := range timers {
		timers[i] = time.AfterFunc(farAway(&state), func() {})
	}
	for _, timer := range timers {
		check(timer.Stop(), name)
	}
	w.stop(name, len(timers))
}

// Go has no executor to name: a goroutine that makes a system call is one.
func jobs(name string, atOnce, count int) {
	each := count / atOnce
	var done int64
	var all sync.WaitGroup
	w := start()
	for i := 0; i < atOnce; i++ {
		all.Add(1)
		go func() {
			for k := 0; k < each; k++ {
				back := make(chan struct{})
				go func() {
					syscall.Syscall(syscall.SYS_GETPPID, 0, 0, 0)
					atomic.AddInt64(&done, 1)
					close(back)
				}()
				<-back
			}
			all.Done()
		}()
	}
	all.Wait()
	w.stop(name, each*atOnce)
	check(done == int64(each*atOnce), name)
}

func parked(name string, divisor int) {
	count := 100000 / divisor
	var arrived, left int64
	var all sync.WaitGroup
	runtime.GC()
	before := resident()
	gate := make(chan struct{})
	all.Add(count)
	w := start()
	for i := 0; i < count; i++ {
		go func() {
			atomic.AddInt64(&arrived, 1)
			<-gate
			atomic.AddInt64(&left, 1)
			all.Done()
		}()
	}
	for atomic.LoadInt64(&arrived) != int64(count) {
		runtime.Gosched()
	}
	w.stop(name, count)
	value(name, "rss", (resident()-before)/float64(count), "bytes")
	w = start()
	close(gate)
	all.Wait()
	w.stop(name+".wake", count)
	check(left == int64(count), name)
}

func listen() net.Listener {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Printf("listening on tcp:%s\n", listener.Addr())
	return listener
}

func echo(_ string, bytes int) {
	if bytes <= 1 {
		bytes = 16 * 1024
	}
	listener := listen()
	for {
		conn, err := listener.Accept()
		if err != nil {
			continue
		}
		go func() {
			defer conn.Close()
			buffer := make([]byte, bytes)
			for {
				n, err := conn.Read(buffer)
				if err != nil {
					return
				}
				if _, err = conn.Write(buffer[:n]); err != nil {
					return
				}
			}
		}()
	}
}

func hello(string, int) {
	body := []byte("Hello, World!")
	http.HandleFunc("/", func(answer http.ResponseWriter, _ *http.Request) {
		answer.Header().Set("Content-Type", "text/plain")
		answer.Write(body)
	})
	panic(http.Serve(listen(), nil))
}

func main() {
	works := []struct {
		name    string
		run     func(name string, divisor int)
		threads int
		once    bool // cold memory, or a server
	}{
		{"yield", yield, 1, false},
		{"spawn.1", spawn, 1, false},
		{"spawn.2", spawn, 2, false},
		{"wake.loops", wake, 2, false},
		{"channel.1", channel, 1, false},
		{"channel.2", channel, 2, false},
		{"sync", uncontended, 1, false},
		{"skynet.1", skynet, 1, false},
		{"skynet.2", skynet, 2, false},
		{"fib.1", fib, 1, false},
		{"fib.2", fib, 2, false},
		{"timers.sleep", sleep, 1, true},
		{"timers.one", oneTimer, 1, false},
		{"timers.many", manyTimers, 1, false},
		{"executor.1", func(name string, divisor int) { jobs(name, 1, 20000/divisor) }, 2, false},
		{"executor.64", func(name string, divisor int) { jobs(name, 64, 200000/divisor) }, 2, false},
		{"parked", parked, 1, true},
		{"echo", echo, 1, true},
		{"http", hello, 1, true},
	}
	syscall.Syscall(syscall.SYS_SCHED_GETAFFINITY, 0, 128, uintptr(unsafe.Pointer(&allowed)))
	name, divisor := "list", 1
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	if len(os.Args) > 2 {
		divisor, _ = strconv.Atoi(os.Args[2])
	}
	for _, work := range works {
		if name == "list" {
			fmt.Println(work.name)
		}
		if name != work.name {
			continue
		}
		runtime.GOMAXPROCS(work.threads)
		silent = true
		if !work.once {
			work.run(name, divisor)
		}
		silent = false
		work.run(name, divisor)
		return
	}
	if name != "list" {
		os.Exit(2)
	}
}
