#!/bin/bash
# A real Slurm of one node on this machine, all of it in DIR: no file of the system is touched.
#   apt-get install -y slurm-wlm munge      (Debian, Ubuntu)
#   tests/slurm.sh start DIR                then: export SLURM_CONF=DIR/slurm.conf; sinfo
#   tests/slurm.sh stop DIR
# Run by any user; jobs run as that user. There is no accounting, so sacct has nothing to say.
set -eu
PATH=$PATH:/usr/sbin:/sbin
action=$1 dir=$(mkdir -p "$2" && cd "$2" && pwd) host=$(hostname -s)
export SLURM_CONF=$dir/slurm.conf

start() {
    mkdir -p "$dir"/{state,spool}
    chmod 755 "$dir"
    [ -f "$dir/munge.key" ] || (umask 077 && head -c 1024 /dev/urandom >"$dir/munge.key")
    cat >"$SLURM_CONF" <<CONF
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthInfo=socket=$dir/munge.socket
SlurmctldPort=${SLURMCTLD_PORT:-16817}
SlurmdPort=${SLURMD_PORT:-16818}
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
KillWait=5
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(getconf _NPROCESSORS_ONLN) RealMemory=1000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
    munged --force --key-file="$dir/munge.key" --socket="$dir/munge.socket" --pid-file="$dir/munged.pid" \
        --log-file="$dir/munged.log" --seed-file="$dir/munged.seed"
    slurmctld
    slurmd
    for _ in $(seq 50); do
        sinfo --noheader --format %T 2>/dev/null | grep -q idle && exit 0
        sleep 0.2
    done
    echo "Slurm did not come up; see $dir/slurmctld.log and $dir/slurmd.log" >&2
    exit 1
}

stop() {
    for daemon in slurmd slurmctld munged; do
        if [ -f "$dir/$daemon.pid" ]; then kill "$(cat "$dir/$daemon.pid")" || true; fi
    done
}

"$action"
