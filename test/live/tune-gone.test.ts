/** `ringtap tune` of interfaces that go, move to another namespace or have other names; each test in namespaces of its own, with sysctls of its own. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { live } from '../support/live.js'

const MAIN = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url))

/** Runs in a network and mount namespace with its own /sys and an empty /run; `tune` and `veth` are commands. The output, errors in it. */
function inside(script: string): string {
  const begin = `
    exec 2>&1
    mount -t sysfs sysfs /sys
    mount -t tmpfs none /run
    sysctl -qw net.core.optmem_max=20480
    tune() { "$0" "$1" tune "$@"; }
    veth() { ip link add $1 numtxqueues 4 numrxqueues 4 type veth peer name p$1; }
    limit() { sysctl -n net.core.optmem_max; }
    apply() { tune apply -i "$@" --cpus 0,1 > /dev/null; }
    features() { ethtool -k $1 | grep -E 'rx-vlan-offload|generic-receive'; }
  `.replace('"$0" "$1" tune', `'${process.execPath}' '${MAIN}' tune`)
  const { stdout, error } = spawnSync('unshare', ['-n', '-m', 'sh', '-c', begin + script], { encoding: 'utf8', timeout: 60_000 })
  assert.equal(error, undefined)
  return stdout
}

live('limits of the machine go back with the last interface that is there, and by the name of one that has gone', () => {
  const output = inside(`
    veth va; veth vb
    apply va; apply vb
    limit
    ip link del vb
    tune revert -i va | tail -1
    limit
    apply va
    ip link del va
    tune revert -i va
    limit
    tune revert -i vb
    ls /run/ringtap | wc -l
    tune revert -i vb; echo status $?
  `)
  assert.match(
    output,
    /^131072\n {2}net\.core\.optmem_max: 20480\n20480\nva: gone, and its settings with it; .*\n {2}net\.core\.optmem_max: 20480\n20480\nvb: gone, and its settings with it; .*\n0\nringtap: vb: RTM_GETLINK: ENODEV .*\nstatus 1\n$/,
  )
})

live('what another interface of the name would cost the machine is put back first', () => {
  const output = inside(`
    veth va; apply va; ip link del va; veth va
    tune apply -i va --cpus 0,1; echo status $?
    features va > /tmp/before.$$
    tune revert -i va; limit
    features va | diff - /tmp/before.$$ && rm /tmp/before.$$
    apply va && tune revert -i va | tail -1
  `)
  assert.match(output, /^ringtap: va: the journal is of another interface: .*\n {2}what was tuned is gone: ringtap tune revert -i va puts back .*\nstatus 1\n/)
  assert.match(output, /\nva: gone, .*\n {2}net\.core\.optmem_max: 20480\n20480\n {2}net\.core\.optmem_max: 20480\n$/)
})

live('one that was made again at its old place is another one, with the same address, too', () => {
  const output = inside(`
    again() { ip link add va address 02:00:00:00:00:07 numtxqueues 4 numrxqueues 4 type veth peer name pva; }
    again; apply va; ip link del va; again
    tune revert -i va | head -1; limit
    ls /run/ringtap | wc -l
    apply va; ip link del va; again; ip link set va name vz
    tune revert -i va | head -1; limit
    apply vz && tune revert -i vz | tail -1
  `)
  const gone = 'va: gone, and its settings with it; .*\\n20480\\n'
  assert.match(output, new RegExp(`^${gone}0\\n${gone} {2}net\\.core\\.optmem_max: 20480\\n$`))
})

live('namespaces that a thread alone is in, or that are mounted where only another process sees it, are looked into', () => {
  const output = inside(`
    cat > /run/thread.py <<'END'
import ctypes, subprocess, threading, time
def alone():
    assert ctypes.CDLL(None).unshare(0x40000000) == 0
    subprocess.run('ip link add inthread type veth peer name other', shell=True, check=True)
    open('/run/ready', 'w').close()
    time.sleep(50)
threading.Thread(target=alone, daemon=True).start()
time.sleep(50)
END
    python3 /run/thread.py > /dev/null & T=$!
    unshare -m sh -c 'mount --make-rprivate /; mount -t tmpfs none /mnt; touch /mnt/ns
      unshare --net=/mnt/ns ip link add inmount type veth peer name other; touch /run/mounted; exec sleep 50' > /dev/null & M=$!
    until [ -e /run/ready ] && [ -e /run/mounted ]; do sleep 0.1; done
    '${process.execPath}' --input-type=module -e '
      const { findInterfaces } = await import("${new URL('../../../dist/host/tuning/whereabouts.js', import.meta.url)}")
      const { openKernel } = await import("${new URL('../../../dist/kernel/system.js', import.meta.url)}")
      for (const { name, netns } of findInterfaces(openKernel()).interfaces) if (name.startsWith("in")) console.log(name, netns)' | sort | sed "s/$T/THREAD/;s/$M/MOUNT/"
    kill $T $M
  `)
  assert.match(output, /^inmount \/proc\/MOUNT\/root\/mnt\/ns\ninthread \/proc\/THREAD\/task\/\d+\/ns\/net\n$/)
})

live('where nothing has been tuned nothing is made, nor missed: /run may be read-only, and the user anybody', () => {
  const output = inside(`
    veth v0
    '${process.execPath}' --input-type=module -e '
      const { applyTuning } = await import("${new URL('../../../dist/host/index.js', import.meta.url)}")
      try { applyTuning("nobody") } catch (error) { console.log(error.code) }'
    tune apply -i nobody; echo status $?; ls /run | wc -l
    mount -o remount,ro /run
    tune revert -i v0; echo status $?
    tune revert -i nobody; echo status $?
    mount -o remount,rw /run; mkdir -m 700 /run/ringtap
    anybody() { setpriv --reuid=65534 --regid=65534 --clear-groups '${process.execPath}' '${MAIN}' tune revert -i $1; echo status $?; }
    anybody nobody; anybody v0
  `)
  const none = 'ringtap: nobody: RTM_GETLINK: ENODEV .*\\n( {2}.*\\n)?'
  assert.match(
    output,
    new RegExp(
      `^NO_SUCH_INTERFACE\\n${none}status 1\\n0\\nv0: has not been tuned, there is nothing to revert\\nstatus 0\\n${none}status 1\\n${none}status 1\\nringtap: .*EACCES.*\\n {2}tuning changes the machine: run as root\\nstatus 3\\n$`,
    ),
  )
})

live('an interface that went to another namespace is found there by its journal', () => {
  const output = inside(`
    veth v0; features v0 > /tmp/before.$$
    apply v0
    unshare -n sleep 50 > /dev/null & P=$!
    while [ $(stat -Lc %i /proc/$P/ns/net) = $(stat -Lc %i /proc/self/ns/net) ]; do sleep 0.1; done
    ip link set v0 netns $P
    tune revert -i v0 2>&1 | sed s/$P/PID/; limit
    tune show -i v0 --netns $P | grep ^tuned
    tune revert -i v0 --netns $P | tail -1; limit
    nsenter --net=/proc/$P/ns/net ethtool -k v0 | grep -E 'rx-vlan-offload|generic-receive' | diff - /tmp/before.$$
    rm /tmp/before.$$; ls /run/ringtap | wc -l
    kill $P
  `)
  assert.match(
    output,
    /^ringtap: v0: RTM_GETLINK: ENODEV .*\n {2}\/run\/ringtap\/tune-\S+ is of one that is elsewhere now: ringtap tune revert -i v0 --netns \/proc\/PID\/ns\/net\n131072\n/,
  )
  assert.match(output, /\n131072\ntuned +since .*\n {2}net\.core\.optmem_max: 20480\n20480\n0\n$/)
})

live('the journal of a namespace that has gone is not that of the one which has its inode now', () => {
  // What the kernel does at once with inodes, done by hand: the namespace has an inode and the journal names it, but its cookie is that of another.
  const output = inside(`
    veth v0; ip link set v0 address 02:00:00:00:00:01
    apply v0
    cd /run/ringtap; F=$(ls)
    I=$(stat -Lc %i /proc/self/ns/net)
    grep -c '"netnsCookie": "[0-9]*"' $F
    sed 's/"netnsCookie": "/&9/' $F > tune-$I-$(cat /sys/class/net/v0/ifindex).json; rm $F
    tune show -i v0 | grep ^tuned
    tune revert -i v0 > /dev/null 2>&1; echo status $?; limit
    features v0 > /tmp/before.$$; apply v0; echo status $?; ls | wc -l
    features v0 | diff - /tmp/before.$$ && rm /tmp/before.$$
    # As a journal without one it is taken.
    sed -i '/netnsCookie/d' tune-$I-*.json
    tune show -i v0 | grep ^tuned | cut -c1-30
  `)
  assert.match(
    output,
    /^1\ntuned +v0: \S+ is of v0 with the same MAC address, .*: whether it is this one cannot be told\nstatus 1\n131072\nringtap: v0: .* cannot be told\n {2}if it is, put back by hand .*\nstatus 1\n1\ntuned +since /,
  )
})

live('an alternative name is as good as the name, and one that nobody has is no interface', () => {
  const output = inside(`
    veth v0
    ip link property add dev v0 altname altv0
    ip link property add dev v0 altname a-name-of-more-than-fifteen-characters
    tune apply -i altv0 --cpus 0,1 | head -1
    tune revert -i a-name-of-more-than-fifteen-characters > /dev/null; echo status $?
    for name in sixteencharacter $(printf 'x%.0s' $(seq 130)); do tune plan -i $name --json | cut -c1-40; done
    '${process.execPath}' '${MAIN}' doctor -i sixteencharacter --json | cut -c1-40
  `)
  const none = '{"type":"error","code":"NO_SUCH_INTERFAC'
  const lines = output.split('\n').filter((line) => !line.startsWith('ringtap: ') && !line.startsWith('  '))
  assert.deepEqual(lines, ['v0: 6 steps applied and read back', 'status 0', none, none, none, ''])
})

live('a damaged journal of another interface is in nobody’s way', () => {
  const output = inside(`
    veth v0; mkdir -m 700 /run/ringtap
    I=$(stat -Lc %i /proc/self/ns/net)
    echo '{' > /run/ringtap/tune-$I-999.json
    echo '{"schema":7}' > /run/ringtap/tune-$I.7-998.json
    tune show -i v0 | grep ^tuned
    tune apply -i v0 --cpus 0,1 | head -1
    tune revert -i v0 | head -1; limit; ls /run/ringtap | wc -l
  `)
  assert.match(output, /^tuned +no\nv0: 6 steps applied and read back\nv0: everything is as it was before .*\n20480\n2\n$/)
})

live('without /proc it is told what can be read, and the rest named', () => {
  const output = inside(`
    veth v0; apply v0
    umount -l /proc
    tune show -i v0; echo status $?
    tune plan -i v0 --cpus 0,1 > /run/plan; echo status $?; head -1 /run/plan; tail -1 /run/plan
    setpriv --reuid=65534 --regid=65534 --clear-groups '${process.execPath}' '${MAIN}' tune show -i v0 | grep -E '^(tuned|queues)'
  `)
  assert.match(
    output,
    /^queues +rx 2 tx 4 .*\n(.*\n)*XPS of queue 1 +CPU 1\n(.*\n)*tuned +since .*\n(.*\n)*not read: net\.core\.optmem_max: .*\n(.*\n)*status 0\n/,
  )
  assert.match(
    output,
    /status 0\nv0 for capture: .*\n {2}interrupts: \/proc\/interrupts: ENOENT.*\nqueues +rx 2 tx 4 .*\ntuned +which network namespace this is cannot be told: .*\n$/,
  )
})
