module tubepost/cluster/init

go 1.22
