package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// stat are the fields of /proc/PID/stat from the third on (proc_pid_stat(5)); nil where the process has ended.
func stat(pid int) []string {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return nil
	}
	return strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:])) // the name before it may have spaces
}

// cpu is the processor time that a process has taken, that of its ended children included.
func cpu(tb testing.TB, pid int) time.Duration {
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux that Go runs on
	fields := stat(pid)
	if fields == nil {
		return 0
	}
	var ticks int64
	for _, field := range fields[11:15] { // utime, stime, cutime, cstime
		n, err := strconv.ParseInt(field, 10, 64)
		require.NoError(tb, err)
		ticks += n
	}
	return time.Duration(ticks) * tick
}

// ownCPU is the processor time that this process has taken, to the microsecond.
func ownCPU(tb testing.TB) time.Duration {
	var used syscall.Rusage
	require.NoError(tb, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// memory is the resident memory of a process, in bytes.
func memory(tb testing.TB, pid int) int64 {
	pages, err := strconv.ParseInt(stat(pid)[21], 10, 64)
	require.NoError(tb, err)
	return pages * int64(os.Getpagesize())
}

// postmaster is the first process of a PostgreSQL cluster, the parent of all others.
func postmaster(tb testing.TB, url string) int {
	conn, err := pgx.Connect(tb.Context(), url)
	require.NoError(tb, err)
	defer func() { _ = conn.Close(context.Background()) }()
	var mine int
	require.NoError(tb, conn.QueryRow(tb.Context(), "SELECT pg_backend_pid()").Scan(&mine))
	fields := stat(mine)
	require.NotNil(tb, fields, "the cluster must run on this machine")
	first, err := strconv.Atoi(fields[1])
	require.NoError(tb, err)
	return first
}

// familyCPU is the processor time that a process and its children have taken.
func familyCPU(tb testing.TB, parent int) time.Duration {
	sum := cpu(tb, parent)
	processes, err := filepath.Glob("/proc/[0-9]*")
	require.NoError(tb, err)
	for _, process := range processes {
		pid, err := strconv.Atoi(filepath.Base(process))
		require.NoError(tb, err)
		if fields := stat(pid); fields != nil && fields[1] == strconv.Itoa(parent) {
			sum += cpu(tb, pid)
		}
	}
	return sum
}

// echoMain is the yardstick E as a process: HTTPS on an address, answering what it gets; its certificate goes into a file.
func echoMain() {
	log.SetFlags(0)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(os.Args[2], pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		log.Fatal(err)
	}
	r := chi.NewRouter()
	r.Post("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			_, err = w.Write(body)
		}
		if err != nil {
			log.Print(err)
		}
	})
	server := &http.Server{Addr: os.Args[1], Handler: r, TLSConfig: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}}
	log.Fatal(server.ListenAndServeTLS("", ""))
}
