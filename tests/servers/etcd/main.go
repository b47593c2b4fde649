// etcd 3.6 as one binary: `go install` of the server's module refuses, because of its replace lines.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
