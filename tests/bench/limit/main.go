// Does with etcd's own client what the daemon did, as fast as etcd takes it:
//
//	limit URL write FILE IN-FLIGHT
//	limit URL read PREFIX
//
// FILE holds lines of JSON, {"key": …, "value": …} for a put, without a value for a delete. They are written in
// transactions of 128 operations, the most that etcd takes, IN-FLIGHT of them side by side, without any compare. `read`
// gets all keys with the prefix in one range. It prints the seconds that took, from a connection that is open already.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strconv"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// etcd's --max-txn-ops, by default.
const operations = 128

func main() {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{os.Args[1]}, DialTimeout: 10 * time.Second})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	// Connects.
	if _, err := client.Get(context.Background(), "/", clientv3.WithCountOnly()); err != nil {
		log.Fatal(err)
	}
	switch os.Args[2] {
	case "write":
		batches, err := read(os.Args[3])
		if err != nil {
			log.Fatal(err)
		}
		inFlight, err := strconv.Atoi(os.Args[4])
		if err != nil {
			log.Fatal(err)
		}
		begun := time.Now()
		write(client, batches, inFlight)
		fmt.Println(time.Since(begun).Seconds())
	case "read":
		begun := time.Now()
		if _, err := client.Get(context.Background(), os.Args[3], clientv3.WithPrefix()); err != nil {
			log.Fatal(err)
		}
		fmt.Println(time.Since(begun).Seconds())
	default:
		log.Fatalf("there is no `%s`", os.Args[2])
	}
}

func read(file string) ([][]clientv3.Op, error) {
	text, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer text.Close()
	var batches [][]clientv3.Op
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		var line struct {
			Key   string
			Value *string
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return nil, err
		}
		op := clientv3.OpDelete(line.Key)
		if line.Value != nil {
			op = clientv3.OpPut(line.Key, *line.Value)
		}
		if last := len(batches) - 1; last >= 0 && len(batches[last]) < operations {
			batches[last] = append(batches[last], op)
		} else {
			batches = append(batches, []clientv3.Op{op})
		}
	}
	return batches, lines.Err()
}

func write(client *clientv3.Client, batches [][]clientv3.Op, inFlight int) {
	queue := make(chan []clientv3.Op)
	var writers sync.WaitGroup
	for range inFlight {
		writers.Go(func() {
			for batch := range queue {
				if _, err := client.Txn(context.Background()).Then(batch...).Commit(); err != nil {
					log.Fatal(err)
				}
			}
		})
	}
	for _, batch := range batches {
		queue <- batch
	}
	close(queue)
	writers.Wait()
}
