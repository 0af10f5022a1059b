#!/bin/bash
# Becomes a systemd of its own: run by lab.py inside fresh namespaces, as root. Nothing of the machine changes: its
# file system is only the lower layer of an overlay, whose upper layer vanishes with the namespace.
#   WORK     an empty folder       FILES  a tree that is copied over /
#   BINDS    "SOURCE:TARGET ..." that are visible inside, read-only
set -eu
mount --make-rprivate /
mount -t tmpfs -o mode=755 lab "$WORK"
mkdir "$WORK"/{upper,work,root}
mount -t overlay lab -o "lowerdir=/,upperdir=$WORK/upper,workdir=$WORK/work" "$WORK/root"
cd "$WORK/root"

mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 dev dev
for node in null zero full random urandom tty; do
    touch dev/$node
    mount --bind /dev/$node dev/$node
done
mkdir dev/shm dev/pts
mount -t tmpfs -o mode=1777 shm dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
touch dev/console
mount --bind "$WORK.log" dev/console
for folder in run tmp; do mount -t tmpfs -o mode=1777 $folder $folder; done
chmod 755 run
mkdir run/host
echo lab >run/host/container-manager
for file in kcore kmsg sysrq-trigger; do [ ! -e proc/$file ] || mount --bind /dev/null proc/$file; done

# What the machine has enabled must not start; of systemd's own services the journal is enough.
rm -rf etc/systemd/system var/log/journal var/lib/systemd/timers lib/systemd/system-generators/* etc/machine-id
for wants in lib/systemd/system/*.wants; do
    find "$wants" -mindepth 1 ! -name 'systemd-journald*' ! -name '*.target' -delete
done
mkdir -p etc/systemd/system
ln -s /dev/null etc/systemd/system/systemd-journald-audit.socket
cat >etc/systemd/system/lab.target <<'UNIT'
[Unit]
Description=A machine that lives for one test
Requires=basic.target
Wants=timers.target
After=basic.target timers.target
UNIT
head -c16 /dev/urandom | od -An -tx1 | tr -d ' \n' >etc/machine-id
: >etc/fstab
echo lab >etc/hostname
hostname lab
for bind in $BINDS; do
    mkdir -p ".${bind#*:}"
    mount --bind -o ro "${bind%%:*}" ".${bind#*:}"
done
cp -a "$FILES"/. .

mkdir .old
pivot_root . .old
umount -l /.old
mount --make-rshared / # LoadCredential= hands its files on by mount propagation
exec setpriv --bounding-set="$DROPPED" --inh-caps="$DROPPED" env -i container=lab PATH=/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin \
    "$SYSTEMD" --system --unit=lab.target --log-target=journal --show-status=0 </dev/null >/dev/null 2>>/dev/console
