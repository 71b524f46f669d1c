#!/usr/bin/env bash
# Start Slurm on this machine alone, to try the two sbatch files, with everything in a folder:
#
#   apt-get install slurm-wlm munge && slurm/one-node.sh FOLDER && export SLURM_CONF=FOLDER/slurm.conf
#
# It needs root. Stop it with: kill $(cat FOLDER/*.pid)
set -euo pipefail
mkdir -p "$1"/{state,spool}
folder=$(cd "$1" && pwd)
host=$(hostname -s)
cat >"$folder/slurm.conf" <<CONF
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
AuthType=auth/munge
SlurmUser=root
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$(free -m | awk '/^Mem/ {print int(0.8 * $2)}') State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
mkdir -p /run/munge
chown munge /run/munge
pgrep -x munged >/dev/null || su munge -s /bin/bash -c "/usr/sbin/munged --pid-file=/run/munge/munged.pid"
export SLURM_CONF=$folder/slurm.conf
/usr/sbin/slurmctld
/usr/sbin/slurmd
for _ in $(seq 100); do
  if [ "$(sinfo -h -o %t)" = idle ]; then exit 0; fi
  sleep 0.2
done
echo "the node does not become idle; see $folder/slurmctld.log" >&2
exit 1
