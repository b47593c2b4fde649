// Gives external-dns its endpoints: connector FILE
//
// FILE holds lines of JSON, one endpoint each: {"name": …, "targets": […], "ttl": …}. It prints the address on which it
// listens, sends every connection the same list, and ends when its standard input does.
//
// external-dns reads one gob value from each connection of its source `connector`, a list of endpoints. Gob matches
// structs by the names of their fields, so the few fields that are used here are enough.
package main

import (
	"bufio"
	"bytes"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"os"
)

type endpoint struct {
	DNSName    string
	Targets    []string
	RecordType string
	RecordTTL  int64
	Labels     map[string]string
}

func main() {
	list, err := read(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	// Encoded once and before anybody asks, so that no time of this program counts as the peer's.
	var encoded bytes.Buffer
	if err := gob.NewEncoder(&encoded).Encode(list); err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	go serve(listener, encoded.Bytes())
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func read(file string) ([]*endpoint, error) {
	list := []*endpoint{}
	text, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer text.Close()
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		var line struct {
			Name    string
			Targets []string
			TTL     int64
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return nil, err
		}
		labels := map[string]string{"resource": "service/" + line.Name}
		list = append(list, &endpoint{line.Name, line.Targets, "A", line.TTL, labels})
	}
	return list, lines.Err()
}

func serve(listener net.Listener, encoded []byte) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer connection.Close()
			_, _ = connection.Write(encoded)
		}()
	}
}
