/** Tuning of a veth, as ethtool(8) and sysfs see it from outside: byte for byte as before once it is taken back. */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { applyTuning } from '#src/host/apply-tuning.js'
import { applyTuning as applyHere, planTuning, readTuning } from '#src/host/index.js'
import { revertTuning } from '#src/host/revert-tuning.js'
import type { JournalStore } from '#src/host/tuning/access.js'
import { tunedInterface } from '#src/host/tuning/journal.js'
import { type MachineAccess, openTuningAccess } from '#src/host/tuning/machine-access.js'
import type { Setting } from '#src/host/tuning/setting.js'
import { CaptureError, countInKernel } from '#src/index.js'
import { EIO } from '#src/kernel/errno.js'
import { openNamespace, withNamespace } from '#src/kernel/namespace.js'
import { openKernel } from '#src/kernel/system.js'
import { createTestbed, type TestbedEnd } from '#src/testbed/index.js'
import { journalFile } from '../support/journal-file.js'
import { inNamespace, live, range } from '../support/live.js'
import { kernelError } from '../support/tunable-machine.js'

const MAIN = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url))
const CHILD = fileURLToPath(new URL('./tune-child.js', import.meta.url))
const CPUS = [0, 1]

/** All that tuning may touch of an interface, by other people's tools. */
function seen({ interface: name, netns }: TestbedEnd): string {
  const tool = (...argv: string[]) => {
    const { stdout, stderr } = spawnSync('nsenter', [`--net=${netns}`, ...argv], { encoding: 'utf8' })
    return `${argv.join(' ')}\n${stdout}${stderr}`
  }
  const options = ['-k', '-l', '-g', '-c', '-x'].map((option) => tool('ethtool', option, name))
  return [...options, inSysfs(netns, `cd /sys/class/net/${name} && grep -r . queues mtu flags tx_queue_len | sort`)].join('\n')
}

/** /sys as the namespace has it. */
function inSysfs(netns: string, command: string): string {
  return inNamespace(netns, 'unshare', '-m', 'sh', '-c', `mount -t sysfs sysfs /sys && ${command}`)
}

interface Tuned {
  end: TestbedEnd
  access: MachineAccess
  store: JournalStore
  directory: string
}

/** The other end, in the same namespace: how many transmit queues it has is to be read. */
const OTHER = 'other0'

/** A veth of two queues of which one is in use, with settings of somebody's. */
function tuned(t: TestContext): Tuned {
  const testbed = createTestbed({ queues: 1 })
  t.after(() => testbed.close())
  const end = { interface: 'tuned0', netns: testbed.receiver.netns }
  const queues = ['numrxqueues', '2', 'numtxqueues', '2']
  inNamespace(end.netns, 'ip', 'link', 'add', end.interface, 'up', ...queues, 'type', 'veth', 'peer', 'name', OTHER, ...queues)
  inNamespace(end.netns, 'ip', 'link', 'set', OTHER, 'up')
  inNamespace(end.netns, 'ethtool', '-L', end.interface, 'rx', '1')
  inNamespace(end.netns, 'ethtool', '-K', end.interface, 'tx-nocache-copy', 'on', 'tso', 'off')
  inSysfs(end.netns, `echo 2 > /sys/class/net/${end.interface}/queues/rx-0/rps_cpus && echo 1 > /sys/class/net/${end.interface}/queues/tx-1/xps_cpus`)
  const directory = mkdtempSync(join(tmpdir(), 'ringtap-tune-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const access = openTuningAccess(openKernel(), end.interface, { netns: end.netns })
  t.after(() => access.close())
  return { end, access, store: journalFile(tunedInterface(access.facts(), access), directory), directory }
}

/** How many writes a whole apply takes. */
function countWrites(access: MachineAccess, store: JournalStore): number {
  const writes: Setting[] = []
  const counting = {
    ...access,
    write(setting: Setting) {
      writes.push(setting)
      access.write(setting)
    },
  }
  applyTuning(counting, store, { cpus: CPUS })
  revertTuning(access, store)
  return writes.length
}

live('queues, features, RPS and XPS of a veth are set, seen by ethtool and sysfs, and taken back byte for byte', (t) => {
  const { end, access, store } = tuned(t)
  const before = seen(end)
  const { applied, plan } = applyTuning(access, store, { cpus: CPUS })
  assert.deepEqual(plan.steps, [])
  assert.deepEqual(
    applied.map(({ id }) => id),
    ['channels', 'feature rx-vlan-hw-parse', 'feature rx-vlan-stag-hw-parse', 'transmit-queue-cpus 0', 'transmit-queue-cpus 1'],
  )
  assert.match(inNamespace(end.netns, 'ethtool', '-l', end.interface), /Current hardware settings:\nRX:\s+2\n/)
  assert.match(inNamespace(end.netns, 'ethtool', '-k', end.interface), /rx-vlan-offload: off[\s\S]*tx-nocache-copy: on/)
  assert.match(inSysfs(end.netns, `cat /sys/class/net/${end.interface}/queues/tx-*/xps_cpus`), /^0*1\n0*2\n$/)
  assert.notEqual(seen(end), before)
  revertTuning(access, store)
  assert.equal(seen(end), before)
  assert.equal(existsSync(store.path), false)
})

live('what a queue had that went for a while comes back with it', (t) => {
  const { end, access, store } = tuned(t)
  inNamespace(end.netns, 'ethtool', '-L', end.interface, 'rx', '2')
  inNamespace(end.netns, 'ethtool', '-L', OTHER, 'tx', '1')
  const folder = `cd /sys/class/net/${end.interface}/queues`
  inSysfs(end.netns, `${folder} && echo 64 > rx-1/rps_flow_cnt && echo 32 > rx-0/rps_flow_cnt && echo 3 > rx-1/rps_cpus && echo 1 > tx-1/xps_rxqs`)
  const before = seen(end)
  applyTuning(access, store, { cpus: [0] })
  assert.equal(inSysfs(end.netns, `${folder} && ls -d rx-*`), 'rx-0\n')
  revertTuning(access, store)
  assert.equal(seen(end), before)
})

live('the only queue of a veth is spread by RPS, and then no more', (t) => {
  const testbed = createTestbed({ queues: 1 })
  t.after(() => testbed.close())
  const { receiver: end } = testbed
  const masks = () => inSysfs(end.netns, `cat /sys/class/net/${end.interface}/queues/rx-0/rps_cpus`)
  const before = seen(end)
  const { applied, journal } = applyHere(end.interface, { netns: end.netns, cpus: CPUS })
  t.after(() => rmSync(journal ?? '', { force: true }))
  assert.ok(applied.some(({ id }) => id === 'receive-queue-cpus 0'))
  assert.match(masks(), /^0*3\n$/)
  assert.equal(readTuning(end.interface, { netns: end.netns }).journal?.path, journal)
  const { status, stdout, stderr } = ringtap('tune', 'revert', '-i', end.interface, '--netns', end.netns)
  assert.equal(status, 0, stderr)
  assert.match(stdout, /mirror0: everything is as it was before/)
  assert.equal(seen(end), before)
  assert.equal(existsSync(journal ?? ''), false)
})

live('whichever write fails, ethtool and sysfs say what they said before, and no journal is left', (t) => {
  const { end, access, store, directory } = tuned(t)
  const before = seen(end)
  const writes = countWrites(access, store)
  assert.ok(writes >= 5)
  for (const n of range(writes, 1)) {
    let count = 0
    const failing = {
      ...access,
      write(setting: Setting) {
        if (++count === n) throw kernelError(EIO, setting)
        access.write(setting)
      },
    }
    assert.throws(
      () => applyTuning(failing, store, { cpus: CPUS }),
      (error) => error instanceof CaptureError && error.code === 'TUNING_FAILED' && error.message.endsWith('everything is as it was before'),
      `write ${n}`,
    )
    assert.equal(seen(end), before, `write ${n}`)
    assert.deepEqual(readdirSync(directory), [], `write ${n}`)
  }
})

live('killed before or after any write, a revert puts everything back', (t) => {
  const { end, access, store, directory } = tuned(t)
  const before = seen(end)
  const writes = countWrites(access, store)
  for (const n of range(writes, 1)) {
    for (const when of ['before', 'after']) {
      const { signal } = spawnSync(process.execPath, [CHILD, end.interface, end.netns, directory, String(n), when])
      assert.equal(signal, 'SIGKILL', `write ${n}`)
      assert.ok(existsSync(store.path), `write ${n}`)
      if (n > 1 || when === 'after') assert.notEqual(seen(end), before, `write ${n}`)
      revertTuning(access, store)
      assert.equal(seen(end), before, `${when} write ${n}`)
      assert.deepEqual(readdirSync(directory), [])
    }
  }
})

live('a journal of an interface that is gone is not put upon another of its name', (t) => {
  const { end, access, store, directory } = tuned(t)
  applyTuning(access, store, { cpus: CPUS })
  inNamespace(end.netns, 'ip', 'link', 'delete', end.interface)
  inNamespace(end.netns, 'ip', 'link', 'add', end.interface, 'type', 'veth', 'peer', 'name', OTHER)
  const again = journalFile(tunedInterface(access.facts(), access), directory)
  assert.equal(again.path, store.path)
  for (const act of [() => revertTuning(access, again), () => applyTuning(access, again)]) {
    assert.throws(act, (error) => error instanceof CaptureError && error.code === 'TUNING_FAILED' && error.hint?.includes(store.path) === true)
  }
})

live('what a driver refuses is told, all else is done and taken back', (t) => {
  const testbed = createTestbed({ queues: 1 })
  t.after(() => testbed.close())
  const { netns } = testbed.receiver
  // A tap of several queues says how many there may be, and lets nobody set them.
  inNamespace(netns, 'ip', 'tuntap', 'add', 'tap0', 'mode', 'tap', 'multi_queue')
  const end = { interface: 'tap0', netns }
  const before = seen(end)
  const known = applyHere('tap0', { netns, cpus: CPUS })
  t.after(() => rmSync(known.journal ?? '', { force: true }))
  assert.deepEqual(known.refused, [])
  assert.equal(known.plan.remarks.find(({ what }) => what === 'queues')?.status, 'unsupported')
  const { status, stderr } = ringtap('tune', 'revert', '-i', 'tap0', '--netns', netns)
  assert.equal(status, 0, stderr)
  assert.equal(seen(end), before)

  // As of a driver of which that is not known.
  const access = openTuningAccess(openKernel(), 'tap0', { netns })
  t.after(() => access.close())
  const unknown = {
    ...access,
    netnsInode: access.netnsInode,
    home: access.home,
    facts() {
      const now = access.facts()
      return { ...now, interface: { ...now.interface, kind: 'other' } }
    },
  }
  const directory = mkdtempSync(join(tmpdir(), 'ringtap-tune-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const store = journalFile(tunedInterface(access.facts(), access), directory)
  const { applied, refused, plan } = applyTuning(unknown, store, { cpus: CPUS })
  assert.deepEqual(
    refused.map(({ step, reason }) => [step.id, /EOPNOTSUPP/.test(reason)]),
    [['channels', true]],
  )
  assert.ok(applied.some(({ id }) => id === 'feature rx-gro'))
  assert.deepEqual(plan.steps, [])
  assert.match(inNamespace(netns, 'ethtool', '-k', 'tap0'), /generic-receive-offload: off/)
  revertTuning(access, store)
  assert.equal(seen(end), before)
})

live('from within a namespace the limits that it only shows are left to a person, and are no failure where that is not foreseen', (t) => {
  const { end, store } = tuned(t)
  const kernel = openKernel()
  using namespace = openNamespace(kernel, end.netns)
  withNamespace(kernel, namespace, () => {
    using access = openTuningAccess(kernel, end.interface)
    const { host } = access.facts()
    // An older kernel does not show them in a namespace at all.
    if (host.sysctls['net.core.rmem_max'] === undefined) return
    assert.ok(host.readOnlySysctls?.includes('net.core.rmem_max') && !host.readOnlySysctls.includes('net.core.optmem_max'))
    const before = seen(end)
    const small = (readOnlySysctls: readonly string[]) => ({
      ...access,
      netnsInode: access.netnsInode,
      home: access.home,
      facts() {
        const now = access.facts()
        return { ...now, host: { ...now.host, readOnlySysctls, sysctls: { ...now.host.sysctls, 'net.core.rmem_max': '212992' } } }
      },
    })
    const foreseen = applyTuning(small(['net.core.rmem_max']), store, { cpus: CPUS })
    assert.deepEqual(foreseen.refused, [])
    assert.equal(foreseen.plan.remarks.find(({ subject }) => subject === 'net.core.rmem_max')?.status, 'by-hand')
    revertTuning(access, store)
    const { applied, refused } = applyTuning(small([]), store, { cpus: CPUS })
    assert.deepEqual(
      refused.map(({ step }) => step.id),
      ['sysctl net.core.rmem_max'],
    )
    assert.ok(applied.length > 2 && store.read()?.includes('rmem_max') === false)
    revertTuning(access, store)
    assert.equal(seen(end), before)
  })
})

live('NAPI of threads is off while it is tuned, and on again', (t) => {
  const { end, access, store } = tuned(t)
  const file = `/sys/class/net/${end.interface}/threaded`
  // A veth has NAPI only with GRO.
  inNamespace(end.netns, 'ethtool', '-K', end.interface, 'gro', 'on')
  inSysfs(end.netns, `echo 1 > ${file}`)
  const { applied } = applyTuning(access, store, { cpus: CPUS })
  assert.ok(applied.some(({ id }) => id === 'threaded'))
  assert.equal(inSysfs(end.netns, `cat ${file}`), '0\n')
  revertTuning(access, store)
  assert.equal(inSysfs(end.netns, `cat ${file}`), '1\n')
})

live('the interface of the default route is left alone unless that was allowed, also where what stands on it has the route', (t) => {
  const { end } = tuned(t)
  const { netns } = end
  const ip = (...words: string[]) => inNamespace(netns, 'ip', ...words)
  const before = seen(end)
  const refuses = (route: RegExp) => {
    const { status, stderr } = ringtap('tune', 'apply', '-i', end.interface, '--netns', netns)
    assert.equal(status, 2, stderr)
    assert.match(stderr, route)
    assert.match(stderr, /set --yes-i-may-lose-this-link/)
  }
  ip('link', 'add', 'br0', 'type', 'bridge')
  ip('link', 'set', end.interface, 'master', 'br0')
  ip('link', 'add', 'link', 'br0', 'name', 'above0', 'type', 'macvlan')
  for (const name of ['br0', 'above0']) ip('link', 'set', name, 'up')
  ip('address', 'add', '192.0.2.1/24', 'dev', 'above0')
  ip('route', 'add', 'default', 'via', '192.0.2.254')
  refuses(/tuned0 carries this host's default via 192\.0\.2\.254 over above0/)
  ip('link', 'delete', 'br0')
  ip('address', 'add', '192.0.2.1/24', 'dev', end.interface)
  ip('route', 'add', 'default', 'via', '192.0.2.254')
  refuses(/tuned0 carries this host's default via 192\.0\.2\.254(,|\n)/)
  assert.equal(seen(end), before)
  const { journal } = applyHere(end.interface, { netns, yesIMayLoseThisLink: true })
  t.after(() => rmSync(journal ?? '', { force: true }))
  assert.notEqual(seen(end), before)
})

live('two do not tune one interface at once', (t) => {
  const { end, access } = tuned(t)
  access.lock()
  const isBusy = (error: unknown) => error instanceof CaptureError && /another process is tuning an interface/.test(error.message)
  assert.throws(() => applyHere(end.interface, { netns: end.netns }), isBusy)
})

live('the commands that a plan names do what apply does', (t) => {
  const { end, access, store } = tuned(t)
  const before = seen(end)
  const { stdout, status } = ringtap('tune', 'plan', '-i', end.interface, '--netns', end.netns, '--cpus', '0,1', '--json')
  assert.equal(status, 0)
  const { steps } = JSON.parse(stdout) as { steps: { command: string }[] }
  for (const { command } of steps) assert.equal(spawnSync('sh', ['-ec', command], { encoding: 'utf8' }).stderr, '', command)
  const typed = seen(end)
  inNamespace(end.netns, 'ethtool', '-L', end.interface, 'rx', '1')
  inNamespace(end.netns, 'ethtool', '-K', end.interface, 'rxvlan', 'on', 'rx-vlan-stag-hw-parse', 'on')
  inSysfs(end.netns, `cd /sys/class/net/${end.interface}/queues && echo 2 > rx-0/rps_cpus && echo 0 > tx-0/xps_cpus && echo 1 > tx-1/xps_cpus`)
  assert.equal(seen(end), before)
  applyTuning(access, store, { cpus: CPUS })
  assert.equal(seen(end), typed)
})

/** A process in a network namespace of its own, which goes with it: the number of the process. */
async function otherNamespace(t: TestContext): Promise<string> {
  const child = spawn('unshare', ['--net', 'sh', '-c', 'echo; exec sleep 60'], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill())
  await once(child.stdout, 'data')
  return `${child.pid}`
}

live('the command for a queue reaches the namespace of the shell, though /sys there is another one’s', async (t) => {
  const [ours, theirs] = [await otherNamespace(t), await otherNamespace(t)]
  const masks = (pid: string) => inSysfs(`/proc/${pid}/ns/net`, 'cat /sys/class/net/zz/queues/rx-0/rps_cpus')
  for (const pid of [ours, theirs]) inNamespace(`/proc/${pid}/ns/net`, 'ip', 'link', 'add', 'zz', 'up', 'type', 'veth', 'peer', 'name', 'zy')
  // A shell with the /sys of one namespace, in the other.
  const within = (sysOf: string, netOf: string, ...command: string[]) => {
    const [enter, mount] = [`nsenter --net=/proc/${sysOf}/ns/net`, 'mount -t sysfs sysfs /sys']
    const { status, stdout, stderr } = spawnSync(
      'unshare',
      ['-m', 'sh', '-ec', `${enter} ${mount}; exec nsenter --net=/proc/${netOf}/ns/net "$@"`, '-', ...command],
      {
        encoding: 'utf8',
      },
    )
    assert.equal(status, 0, stderr)
    return stdout
  }
  const commandIn = (sysOf: string, netOf: string) => {
    const { steps } = JSON.parse(within(sysOf, netOf, process.execPath, MAIN, 'tune', 'plan', '-i', 'zz', '--cpus', '0,1', '--json')) as {
      steps: { id: string; command: string }[]
    }
    return steps.find(({ id }) => id === 'receive-queue-cpus 0')?.command as string
  }
  assert.equal(commandIn(theirs, theirs), 'echo 3 > /sys/class/net/zz/queues/rx-0/rps_cpus')
  const command = commandIn(ours, theirs)
  within(ours, theirs, 'sh', '-ec', command)
  assert.match(masks(ours), /^0+\n$/)
  assert.match(masks(theirs), /^0*3\n$/)
})

live('a veth as ip makes it is spread by RPS: its other end sends by one queue, wherever that is', async (t) => {
  const pid = await otherNamespace(t)
  const netns = `/proc/${pid}/ns/net`
  const elsewhere = await otherNamespace(t)
  const ip = (...words: string[]) => inNamespace(netns, 'ip', ...words)
  const planned = () => {
    const { host, interface: facts } = readTuning('s0', { netns })
    const { steps } = planTuning(host, facts, { cpus: CPUS })
    return [facts.peerTxQueues, steps.some(({ id }) => id === 'channels'), steps.some(({ id }) => id === 'receive-queue-cpus 0')]
  }
  ip('link', 'add', 's0', 'up', 'type', 'veth', 'peer', 'name', 's1')
  assert.deepEqual(planned(), [1, false, true])
  ip('link', 'delete', 's0')
  const queues = ['numrxqueues', '2', 'numtxqueues', '2']
  ip('link', 'add', 's0', 'up', ...queues, 'type', 'veth', 'peer', 'name', 's1', ...queues)
  inNamespace(netns, 'ethtool', '-L', 's0', 'rx', '1')
  assert.deepEqual(planned(), [2, true, false])
  ip('link', 'set', 's1', 'netns', elsewhere)
  assert.deepEqual(planned(), [2, true, false])
  inNamespace(`/proc/${elsewhere}/ns/net`, 'ethtool', '-L', 's1', 'tx', '1')
  assert.deepEqual(planned(), [1, false, true])
})

live('where the other end of a veth is out of reach, its queues stay and that is told', (t) => {
  const testbed = createTestbed({ queues: 2 })
  t.after(() => testbed.close())
  const { netns, interface: name } = testbed.receiver
  inNamespace(netns, 'ethtool', '-L', name, 'rx', '1')
  const { host, interface: facts } = readTuning(name, { netns })
  assert.equal(facts.peerTxQueues, undefined)
  const { steps, unread } = planTuning(host, facts, { cpus: CPUS })
  assert.ok(
    unread.some(({ what, reason }) => what === 'other end of the veth' && /neither a name nor a process/.test(reason)),
    JSON.stringify(unread),
  )
  assert.ok(steps.some(({ id }) => id === 'receive-queue-cpus 0') && !steps.some(({ id }) => id === 'channels'))
})

live('a veth with a program counting on it is tuned, and keeps its queues', async (t) => {
  const netns = `/proc/${await otherNamespace(t)}/ns/net`
  const queues = ['numrxqueues', '4', 'numtxqueues', '4']
  inNamespace(netns, 'ip', 'link', 'add', 'v0', 'up', ...queues, 'type', 'veth', 'peer', 'name', 'v1', ...queues)
  inNamespace(netns, 'ip', 'link', 'set', 'v1', 'up')
  using count = countInKernel({ interface: 'v0', netns, xdpMode: 'native' })
  const { applied, refused, journal } = applyHere('v0', { netns, cpus: CPUS })
  t.after(() => rmSync(journal ?? '', { force: true }))
  assert.ok(applied.length > 0)
  assert.deepEqual(refused, [])
  assert.match(inNamespace(netns, 'ethtool', '-l', 'v0'), /Current hardware settings:\nRX:\s+4\n/)
  assert.deepEqual(
    count.counters().interfaces.map(({ mode }) => mode),
    ['native'],
  )
  const { status, stderr } = ringtap('tune', 'revert', '-i', 'v0', '--netns', netns)
  assert.equal(status, 0, stderr)
})

live('without root a plan says what it can and names what it cannot, and apply says why it does not', () => {
  const argv = ['--reuid=65534', '--regid=65534', '--clear-groups', process.execPath, MAIN, 'tune']
  const plan = spawnSync('setpriv', [...argv, 'plan', '-i', 'lo', '--json'], { encoding: 'utf8' })
  assert.equal(plan.status, 0, plan.stderr)
  const { steps, unread } = JSON.parse(plan.stdout) as { steps: unknown[]; unread: { what: string; source: string; reason: string }[] }
  assert.ok(steps.length > 0)
  for (const fact of unread) assert.ok(fact.what !== '' && fact.source !== '' && fact.reason !== '')
  const apply = spawnSync('setpriv', [...argv, 'apply', '-i', 'lo', '--yes-i-may-lose-this-link'], { encoding: 'utf8' })
  assert.equal(apply.status, 3, apply.stderr)
  assert.match(apply.stderr, /permission denied.*\n {2}tuning changes the machine: run as root/)
})

live('a damaged journal is told, and nothing is written', (t) => {
  const { end, access, store } = tuned(t)
  const before = seen(end)
  for (const text of ['', '{', '[]', '{"schema":2}', '{"schema":1}']) {
    writeFileSync(store.path, text)
    assert.throws(
      () => revertTuning(access, store),
      (error) => error instanceof CaptureError && error.code === 'INVALID_FILE' && error.message.startsWith(store.path),
    )
  }
  assert.equal(seen(end), before)
})

function ringtap(...argv: string[]) {
  return spawnSync(process.execPath, [MAIN, ...argv], { encoding: 'utf8', timeout: 20_000 })
}
