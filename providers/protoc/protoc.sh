#!/bin/sh
# Stands in for protoc while etcd-client builds: the one thing its build script wants is a
# FileDescriptorSet at the path behind `-o`, and that is kept beside this script (README.md there).
out=
while [ $# -gt 0 ]; do
  case "$1" in
    -o) out=$2; shift ;;
    --descriptor_set_out=*) out=${1#*=} ;;
  esac
  shift
done
exec cp "$(dirname "$0")/etcd.fds" "$out"
