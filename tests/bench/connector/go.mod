module connector

go 1.25
