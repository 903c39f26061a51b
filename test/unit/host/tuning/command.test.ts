import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { commandFor, quoted, ringtapCommand } from '#src/host/tuning/command.js'
import type { Setting } from '#src/host/tuning/setting.js'
import { adjustable, nicFacts } from '../../../support/host-facts.js'

test('every setting has the command that a person would type', () => {
  const commands: readonly (readonly [Setting, string])[] = [
    [{ kind: 'channels', value: { combined: 8, rx: 0, tx: 0 } }, 'ethtool -L eth0 combined 8'],
    [{ kind: 'channels', value: { combined: 4, rx: 2, tx: 1 } }, 'ethtool -L eth0 rx 2 tx 1'],
    [{ kind: 'rings', value: { rx: 4096, tx: 512 } }, 'ethtool -G eth0 rx 4096'],
    [{ kind: 'rings', value: { rx: 4096, tx: 1024 } }, 'ethtool -G eth0 rx 4096 tx 1024'],
    [{ kind: 'rss-indirection', value: [0, 1, 2, 0, 1, 2] }, 'ethtool -X eth0 equal 3'],
    [{ kind: 'rss-indirection', value: 'default' }, 'ethtool -X eth0 default'],
    [{ kind: 'rss-key', value: '6d5a6d' }, 'ethtool -X eth0 hkey 6d:5a:6d'],
    [{ kind: 'flow-hash', flow: 'udp6', value: 'sdfn' }, 'ethtool -N eth0 rx-flow-hash udp6 sdfn'],
    [{ kind: 'feature', name: 'rx-lro', value: false }, 'ethtool -K eth0 lro off'],
    [{ kind: 'feature', name: 'rx-gro-hw', value: true }, 'ethtool -K eth0 rx-gro-hw on'],
    [{ kind: 'coalescing', value: { use_adaptive_rx_coalesce: 0, rx_coalesce_usecs: 50 } }, 'ethtool -C eth0 adaptive-rx off rx-usecs 50'],
    [{ kind: 'interrupt', name: 'of queue 2', value: [4] }, 'echo 4 > /proc/irq/59/smp_affinity_list'],
    [{ kind: 'receive-queue-cpus', queue: 0, value: [0, 1, 33] }, 'echo 2,00000003 > /sys/class/net/eth0/queues/rx-0/rps_cpus'],
    [{ kind: 'transmit-queue-cpus', queue: 3, value: [] }, 'echo 0 > /sys/class/net/eth0/queues/tx-3/xps_cpus'],
    [{ kind: 'receive-queue-flows', queue: 1, value: 64 }, 'echo 64 > /sys/class/net/eth0/queues/rx-1/rps_flow_cnt'],
    [{ kind: 'transmit-queue-receivers', queue: 1, value: [0, 2] }, 'echo 5 > /sys/class/net/eth0/queues/tx-1/xps_rxqs'],
    [{ kind: 'sysctl', name: 'net.core.netdev_budget', value: '600' }, 'sysctl -w net.core.netdev_budget=600'],
    [{ kind: 'governor', cpu: 2, value: 'performance' }, 'echo performance > /sys/devices/system/cpu/cpu2/cpufreq/scaling_governor'],
  ]
  for (const [setting, command] of commands) assert.equal(commandFor(setting, nicFacts()), command)
})

test('a change of the moderation is a command of its own', () => {
  const adaptive = nicFacts({ coalescing: { use_adaptive_rx_coalesce: 1, rx_coalesce_usecs: 8 } })
  const fixed = nicFacts({ coalescing: { use_adaptive_rx_coalesce: 0, rx_coalesce_usecs: 50 } })
  const change = (adaptive: number, usecs: number): Setting => ({ kind: 'coalescing', value: { use_adaptive_rx_coalesce: adaptive, rx_coalesce_usecs: usecs } })
  assert.equal(commandFor(change(0, 26), adaptive), 'ethtool -C eth0 adaptive-rx off && ethtool -C eth0 rx-usecs 26')
  assert.equal(commandFor(change(1, 8), fixed), 'ethtool -C eth0 rx-usecs 8 && ethtool -C eth0 adaptive-rx on')
})

test('in a namespace it goes there, with a sysfs of its own', () => {
  const write: Setting = { kind: 'receive-queue-cpus', queue: 0, value: [0] }
  const rings: Setting = { kind: 'rings', value: { rx: 4096, tx: 512 } }
  const inside = (netns: string, setting: Setting) => commandFor(setting, nicFacts({ netns }))
  assert.equal(inside('blue', rings), 'ip netns exec blue ethtool -G eth0 rx 4096')
  assert.equal(inside('blue', write), "ip netns exec blue sh -c 'echo 1 > /sys/class/net/eth0/queues/rx-0/rps_cpus'")
  assert.equal(inside('4711', rings), 'nsenter --net=/proc/4711/ns/net ethtool -G eth0 rx 4096')
  assert.equal(
    inside('/run/x/net', write),
    "nsenter --net=/run/x/net unshare -m sh -c 'mount -t sysfs sysfs /sys && echo 1 > /sys/class/net/eth0/queues/rx-0/rps_cpus'",
  )
})

test('a driver that has receive and transmit queues apart is told of those that change', () => {
  const apart = { combined: adjustable(0, 0), rx: adjustable(1, 8), tx: adjustable(1, 8), other: adjustable(0, 0) }
  assert.equal(commandFor({ kind: 'channels', value: { combined: 0, rx: 4, tx: 1 } }, nicFacts({ channels: apart })), 'ethtool -L eth0 rx 4')
})

/** The words that sh makes of a command. */
function words(command: string): string[] {
  const { stdout, stderr } = spawnSync('sh', ['-c', `printf '%s\\0' ${command}`], { encoding: 'utf8' })
  assert.equal(stderr, '', command)
  return stdout.split('\0').slice(0, -1)
}

const NASTY = ['a;id>q', 'a$x', "it's", '`id`', '"', '\\', '$(id)', '-x', '*', 'ä', '#1', '~', '!', 'a&b|c', "''", '{a,b}', '\u0001']

test('sh takes the name of an interface or a namespace as it is, whatever stands in it', () => {
  const write: Setting = { kind: 'receive-queue-cpus', queue: 0, value: [0] }
  const gro: Setting = { kind: 'feature', name: 'rx-gro', value: false }
  for (const name of NASTY) {
    assert.deepEqual(words(quoted(name)), [name])
    assert.deepEqual(words(commandFor(gro, nicFacts({ name }))), ['ethtool', '-K', name, 'gro', 'off'])
    assert.deepEqual(words(ringtapCommand('tune apply', { name, netns: name })), ['ringtap', 'tune', 'apply', '-i', name, '--netns', name])
    assert.deepEqual(words(commandFor(gro, nicFacts({ name, netns: name }))), ['ip', 'netns', 'exec', name, 'ethtool', '-K', name, 'gro', 'off'])
    assert.deepEqual(words(commandFor(gro, nicFacts({ netns: `/x/${name}` }))).slice(0, 2), ['nsenter', `--net=/x/${name}`])
    const path = `/sys/class/net/${name}/queues/rx-0/rps_cpus`
    assert.deepEqual(commandFor(write, nicFacts({ name })).split(' > ').map(words), [['echo', '1'], [path]])
    // A script within a command: taken out of its quotes it is the command without a namespace.
    for (const place of [{ netns: 'blue' }, { netns: '4711' }, { foreignSysfs: true }] as const) {
      const script = words(commandFor(write, nicFacts({ name, ...place }))).at(-1)
      assert.equal(script?.replace(/^mount -t sysfs sysfs \/sys && /, ''), commandFor(write, nicFacts({ name })))
    }
  }
  for (const plain of ['eth0', 'enp3s0f1.100', 'br-1a2b', 'a_b@c:d+e=f%g']) assert.equal(quoted(plain), plain)
})

test('where /sys is that of another namespace, one is mounted for the write alone', () => {
  const write: Setting = { kind: 'receive-queue-cpus', queue: 0, value: [0] }
  const rings: Setting = { kind: 'rings', value: { rx: 4096, tx: 512 } }
  const mounted = "sh -c 'mount -t sysfs sysfs /sys && echo 1 > /sys/class/net/eth0/queues/rx-0/rps_cpus'"
  assert.equal(commandFor(write, nicFacts({ foreignSysfs: true })), `unshare -m ${mounted}`)
  assert.equal(commandFor(rings, nicFacts({ foreignSysfs: true })), 'ethtool -G eth0 rx 4096')
  assert.equal(commandFor(write, nicFacts({ foreignSysfs: true, netns: '4711' })), `nsenter --net=/proc/4711/ns/net unshare -m ${mounted}`)
})
