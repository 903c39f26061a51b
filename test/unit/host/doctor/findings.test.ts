/** Each finding, there and not there, on a recorded machine (an ixgbe of 8 queues on two NUMA nodes) of which one thing is changed. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { diagnose } from '#src/host/doctor/diagnose.js'
import type { Finding, Severity } from '#src/host/doctor/finding.js'
import { HOST_FINDINGS } from '#src/host/doctor/host-findings.js'
import { INTERFACE_FINDINGS } from '#src/host/doctor/interface-findings.js'
import type { ProbeName } from '#src/host/doctor/probes.js'
import type { CapabilityName, ConfinementFacts } from '#src/host/doctor/process-facts.js'
import type { HostFacts, InterfaceFacts } from '#src/host/facts.js'
import { ENOBUFS } from '#src/kernel/errno.js'
import { examinedHost, findingOf } from '../../../support/examined.js'

type Examinee = ReturnType<typeof examinedHost>
type Change = (it: Examinee) => void

const host =
  (change: (facts: HostFacts) => void): Change =>
  (it) =>
    change(it.host)
const process =
  (change: (facts: ConfinementFacts) => void): Change =>
  (it) =>
    change(it.confinement)
const nic =
  (change: (facts: InterfaceFacts) => void): Change =>
  (it) =>
    change(it.interfaces[0] as InterfaceFacts)
const without = (...names: CapabilityName[]): Change =>
  process((it) => {
    it.effective = it.effective?.filter((held) => !names.includes(held))
  })
/** Counted since boot, and of that between the two readings. */
const softnet = (field: 'dropped' | 'timeSqueeze', sinceBoot: number, lately: number): Change => {
  return (it) => {
    Object.assign(it.confinement.softnet[0] as object, { [field]: sinceBoot, processed: 1500 })
    Object.assign(it.earlier.softnet[0] as object, { [field]: sinceBoot - lately })
  }
}
const all =
  (...changes: Change[]): Change =>
  (it) => {
    for (const change of changes) change(it)
  }
const refused =
  (probe: ProbeName, errno = 95): Change =>
  (it) => {
    it.probes = it.probes.map((result) => (result.probe === probe ? { probe, works: false, refused: { call: 'a call', errno, reason: 'a reason' } } : result))
  }
const sysctl = (name: string, value: string): Change =>
  host((it) => {
    it.sysctls = { ...it.sysctls, [name]: value }
  })
const noSysctls = host((it) => {
  it.sysctls = {}
})
/** And no number. */
const IN_HOST = /^raise net\.core\.[a-z_. ]+ in the host's network namespace[^0-9=]*$/
const feature = (name: string, on: boolean, fixed = false): Change =>
  nic((it) => {
    it.features = { ...it.features, [name]: { on, fixed, requested: on } }
  })
const nothing: Change = () => {}
const used = nic((it) => {
  it.use = ['address 192.0.2.1/24']
})
const ON = { on: true, fixed: false, requested: true }
/** On others, as far as they are known. */
const stacked = (...lowers: NonNullable<InterfaceFacts['lowers']>): Change => nic((it) => Object.assign(it, { kind: 'macvlan', lowers }))

interface Case {
  /** Nothing wrong with it. */
  right: Change
  /** Changes after which it is of that severity, with such words in `what` and such a remedy. */
  wrong: [change: Change, severity: Severity, what: RegExp, remedy: RegExp | undefined][]
  /** Nothing is known. */
  unknown?: Change
}

const MIB = 2 ** 20
const noCapabilities = process((it) => {
  it.effective = undefined
})
const capability = (name: CapabilityName, severity: Severity, remedy: RegExp): Case => ({
  right: nothing,
  wrong: [[without(name), severity, new RegExp(`^${name} is `), remedy]],
  unknown: noCapabilities,
})
const probe = (name: ProbeName, severity: Severity): Case => ({
  right: nothing,
  wrong: [[refused(name), severity, /: a call: a reason$/, /^needs /]],
  unknown: (it) => {
    it.probes = []
  },
})

const HOST_CASES: Record<string, Case> = {
  'cap-net-raw': capability('CAP_NET_RAW', 'fatal', /setcap cap_net_raw/),
  'cap-net-admin': capability('CAP_NET_ADMIN', 'limits', /setcap .*cap_net_admin/),
  'cap-bpf': {
    right: without('CAP_BPF'),
    wrong: [[without('CAP_BPF', 'CAP_SYS_ADMIN'), 'limits', /^CAP_BPF is /, /setcap .*cap_bpf/]],
    unknown: noCapabilities,
  },
  'cap-sys-admin': capability('CAP_SYS_ADMIN', 'note', /root/),
  'packet-socket': probe('packet-socket', 'fatal'),
  'packet-ring': probe('packet-ring', 'limits'),
  'packet-fanout': probe('packet-fanout', 'limits'),
  'bpf-program': probe('bpf-program', 'limits'),
  'xdp-link': probe('xdp-link', 'limits'),
  'af-xdp': {
    ...probe('af-xdp', 'limits'),
    wrong: [
      ...probe('af-xdp', 'limits').wrong,
      [refused('af-xdp', ENOBUFS), 'limits', /: a call: a reason \(RLIMIT_MEMLOCK\)$/, /^ulimit -l unlimited .*CAP_IPC_LOCK$/],
    ],
  },
  'busy-poll': probe('busy-poll', 'note'),
  memlock: {
    right: nothing,
    wrong: [[without('CAP_IPC_LOCK'), 'limits', /^RLIMIT_MEMLOCK is 8192 KiB; AF_XDP with 16 workers locks 1024 MiB$/, /ulimit -l unlimited/]],
    unknown: process((it) => {
      it.memlockBytes = undefined
      it.memlockMaximumBytes = undefined
    }),
  },
  'cgroup-cpu': {
    right: nothing,
    wrong: [[process((it) => Object.assign(it.cgroup, { cpus: 4, cpuPeriodMs: 100 })), 'limits', /allows 4 CPUs of time in each 100 ms/, /--cpus/]],
    unknown: process((it) => it.cgroup.unseen.push('cpu')),
  },
  'cgroup-memory': {
    right: process((it) => Object.assign(it.cgroup, { memoryBytes: 1024 * MIB })),
    wrong: [[process((it) => Object.assign(it.cgroup, { memoryBytes: 256 * MIB })), 'limits', /allows 256 MiB/, /--memory/]],
    unknown: process((it) => it.cgroup.unseen.push('memory')),
  },
  'allowed-cpus': {
    right: nothing,
    wrong: [
      [
        host((it) => {
          it.allowedCpus = [0, 1, 2, 5]
        }),
        'note',
        /^only CPUs 0-2,5 of 16 may be used/,
        /taskset/,
      ],
    ],
  },
  'page-size': {
    right: nothing,
    wrong: [
      [
        host((it) => {
          it.pageSizeBytes = 65536
        }),
        'note',
        /^pages of 64 KiB$/,
        undefined,
      ],
    ],
  },
  irqbalance: {
    right: host((it) => {
      it.irqbalance = { running: false, pid: undefined }
    }),
    wrong: [[nothing, 'note', /pid 1032/, /systemctl stop irqbalance/]],
    unknown: host((it) => {
      it.irqbalance = undefined
    }),
  },
  governor: {
    right: host((it) => {
      for (const cpu of it.cpus) cpu.governor = 'performance'
    }),
    wrong: [[nothing, 'note', /^frequency governor powersave on CPUs 0-15$/, /scaling_governor/]],
    unknown: host((it) => {
      for (const cpu of it.cpus) cpu.governor = undefined
    }),
  },
  'softnet-dropped': {
    right: nothing,
    wrong: [
      [
        softnet('dropped', 17, 7),
        'limits',
        /^7 packets were lost in the backlog of a CPU in the last 204 ms, 1\.4 % of 507; .* is 1000$/,
        /netdev_max_backlog=16384$/,
      ],
      [all(softnet('dropped', 17, 7), sysctl('net.core.netdev_max_backlog', '20000')), 'limits', /^7 packets .* is 20000$/, /=40000$/],
      // What was lost before it was mended.
      [
        softnet('dropped', 17, 0),
        'note',
        /^17 packets were lost in the backlog of a CPU since boot, 1\.1 % of 1517, none in the last 204 ms; .* is 1000$/,
        /netdev_max_backlog=16384$/,
      ],
      [all(softnet('dropped', 17, 0), sysctl('net.core.netdev_max_backlog', '16384')), 'note', /^17 packets .* is 16384$/, undefined],
      // In a namespace of its own: nothing is known, and a number might lower it.
      [all(softnet('dropped', 17, 7), noSysctls), 'limits', /netdev_max_backlog is not to be read here$/, IN_HOST],
      [all(softnet('dropped', 17, 0), noSysctls), 'note', /netdev_max_backlog is not to be read here$/, IN_HOST],
    ],
    unknown: process((it) => {
      it.softnet = []
    }),
  },
  'softnet-squeezed': {
    right: softnet('timeSqueeze', 17, 0),
    wrong: [
      [
        softnet('timeSqueeze', 17, 7),
        'note',
        /^7 times in the last 204 ms the kernel stopped .*, 17 since boot$/,
        /^sudo sysctl -w net.core.netdev_budget=600 net.core.netdev_budget_usecs=4000$/,
      ],
      [
        all(softnet('timeSqueeze', 17, 7), sysctl('net.core.netdev_budget_usecs', '8000')),
        'note',
        /\(net\.core\.netdev_budget 300, net\.core\.netdev_budget_usecs 8000\)/,
        /netdev_budget=600 net.core.netdev_budget_usecs=16000$/,
      ],
      [
        all(softnet('timeSqueeze', 17, 7), noSysctls, sysctl('net.core.netdev_budget', '400')),
        'note',
        /\(net\.core\.netdev_budget 400\)/,
        /^sudo sysctl -w net.core.netdev_budget=800$/,
      ],
      [all(softnet('timeSqueeze', 17, 7), noSysctls), 'note', /\(net\.core\.netdev_budget, net\.core\.netdev_budget_usecs: not to be read here\)/, IN_HOST],
    ],
    unknown: process((it) => {
      it.softnet = []
    }),
  },
  'user-namespace': {
    right: nothing,
    wrong: [[process((it) => Object.assign(it, { initialUserNamespace: false })), 'limits', /user namespace/, /rootless/]],
    unknown: process((it) => Object.assign(it, { initialUserNamespace: undefined })),
  },
  'network-namespace': {
    right: nothing,
    wrong: [[process((it) => Object.assign(it, { hostNetwork: false })), 'note', /not that of the host/, /--network host/]],
    unknown: process((it) => Object.assign(it, { hostNetwork: undefined })),
  },
  seccomp: {
    right: nothing,
    wrong: [[process((it) => Object.assign(it, { seccomp: 2 })), 'note', /mode 2/, /seccomp=unconfined/]],
    unknown: process((it) => Object.assign(it, { seccomp: undefined })),
  },
  'read-only': {
    right: nothing,
    wrong: [[process((it) => it.readOnly.push('/proc/sys', '/sys')), 'note', /^\/proc\/sys and \/sys are mounted read-only$/, /--privileged/]],
  },
  'unprivileged-bpf': {
    right: sysctl('kernel.unprivileged_bpf_disabled', '2'),
    wrong: [[sysctl('kernel.unprivileged_bpf_disabled', '0'), 'note', /is 0/, /unprivileged_bpf_disabled=2/]],
    unknown: host((it) => {
      it.sysctls = {}
    }),
  },
  'bpf-jit': {
    right: sysctl('net.core.bpf_jit_enable', '1'),
    wrong: [[sysctl('net.core.bpf_jit_enable', '0'), 'limits', /interpreted/, /bpf_jit_enable=1/]],
    unknown: host((it) => {
      it.sysctls = {}
    }),
  },
  node: {
    right: nothing,
    wrong: [
      ...['18.20.1', '20.18.3'].map((version): Case['wrong'][number] => [
        (it) => Object.assign(it.node, { version }),
        'fatal',
        new RegExp(`^Node.js ${version}$`),
        /nvm install/,
      ]),
      [(it) => Object.assign(it.node, { pointerCompression: true }), 'fatal', /pointer compression/, /nodejs\.org/],
    ],
  },
}

const setRss = (change: (rss: NonNullable<InterfaceFacts['rss']>) => void): Change => nic((it) => change(it.rss as NonNullable<InterfaceFacts['rss']>))

const setFlowHash = (flowHash: InterfaceFacts['flowHash']): Change => nic((it) => Object.assign(it, { flowHash }))

const queues = (count: number): Change =>
  nic((it) => {
    it.rxQueues = count
    if (it.channels !== undefined) it.channels.combined.current = count
  })
const noChannels = nic((it) => Object.assign(it, { channels: undefined }))
const allowed = (...cpus: number[]): Change =>
  host((it) => {
    it.allowedCpus = cpus
  })
/** Each queue's interrupt to that of these CPUs which is its number's turn. */
const interruptsTo = (...cpus: number[]): Change =>
  nic((it) => {
    for (const interrupt of it.interrupts) if (interrupt.queue !== undefined) interrupt.effective = [cpus[interrupt.queue % cpus.length] as number]
  })

const INTERFACE_CASES: Record<string, Case> = {
  link: {
    right: nothing,
    wrong: [
      [nic((it) => Object.assign(it, { up: false })), 'limits', /is down/, /ip link set dev eth0 up/],
      [nic((it) => Object.assign(it, { operState: 'down' })), 'limits', /no carrier/, /cable/],
    ],
  },
  queues: {
    right: nothing,
    wrong: [
      [queues(1), 'limits', /^1 receive queue for 4 cores of NUMA node 0$/, /^sudo ethtool -L eth0 combined 4$/],
      [
        all(
          queues(1),
          nic((it) => Object.assign(it, { numaNode: undefined })),
        ),
        'limits',
        /^1 receive queue for 8 cores$/,
        /^sudo ethtool -L eth0 combined 8$/,
      ],
      // The other hyperthreads of two cores; and none of the NIC's node, where tuning gives queues to no more than its 4 cores.
      [all(queues(1), allowed(8, 9)), 'limits', /^1 receive queue for 2 cores of NUMA node 0$/, /combined 2$/],
      [all(queues(1), allowed(4, 5, 6, 7, 12)), 'limits', /^1 receive queue for 4 cores$/, /combined 4$/],
      [all(queues(2), noChannels), 'note', /^2 receive queues for 4 cores of NUMA node 0; the driver has no more$/, /tune plan/],
      [all(queues(1), noChannels), 'limits', /the driver has no more/, /ringtap tune apply -i eth0; RPS/],
      [
        all(
          queues(1),
          noChannels,
          nic((it) => Object.assign(it, { receiveQueues: [{ queue: 0, rpsCpus: [0, 1], rpsFlowCount: 0 }] })),
        ),
        'note',
        /spread by RPS/,
        undefined,
      ],
    ],
  },
  interrupts: {
    // Of the NIC's node there are four cores: two queues each are even.
    right: interruptsTo(0, 1, 2, 3),
    wrong: [
      [interruptsTo(0), 'limits', /^8 receive queues interrupt CPU 0 alone$/, /smp_affinity_list/],
      [interruptsTo(0, 1), 'limits', /^8 receive queues interrupt only CPUs 0-1$/, /\/proc\/irq\/83\//],
      [interruptsTo(0, 0, 0, 1, 2, 3, 4, 5), 'limits', /^3 of 8 receive queues interrupt CPU 0$/, /\/proc\/irq\/82\//],
      [
        nic((it) => {
          Object.assign(it.interrupts.find((interrupt) => interrupt.queue === 5) as object, { counts: { 5: 1e9 } })
        }),
        'note',
        /^queue 5 has 99 % of the interrupts of 8 queues \(eth0-TxRx-5\)$/,
        /ethtool -x/,
      ],
    ],
    unknown: nic((it) => {
      it.interrupts = []
    }),
  },
  numa: {
    right: host((it) => {
      it.allowedCpus = [0, 1, 2, 3]
    }),
    wrong: [
      [nothing, 'note', /^the NIC is on NUMA node 0; CPUs 4-7,12-15 are not$/, /taskset -c 0-3,8-11/],
      [
        host((it) => {
          it.allowedCpus = [4, 5]
        }),
        'limits',
        /no CPU that may be used is/,
        /taskset/,
      ],
    ],
    unknown: nic((it) => Object.assign(it, { numaNode: undefined })),
  },
  gro: {
    right: feature('rx-gro', false),
    wrong: [
      [nothing, 'limits', /^GRO is on/, /ethtool -K eth0 gro off/],
      [nic((it) => Object.assign(it, { kind: 'tun' })), 'note', /^GRO is on/, /gro off/],
      [nic((it) => Object.assign(it, { kind: 'veth' })), 'note', /^GRO is on, and a veth needs it/, undefined],
    ],
    unknown: nic((it) => Object.assign(it, { features: {} })),
  },
  'gro-hw': {
    right: nothing,
    wrong: [
      [feature('rx-gro-hw', true), 'limits', /GRO of the NIC is on/, /rx-gro-hw off/],
      [feature('rx-gro-hw', true, true), 'limits', /GRO of the NIC is on.*does not let it be switched off$/, undefined],
    ],
    unknown: nic((it) => Object.assign(it, { features: {} })),
  },
  lro: {
    right: nothing,
    wrong: [
      [feature('rx-lro', true), 'limits', /LRO is on/, /lro off/],
      [feature('rx-lro', true, true), 'limits', /LRO is on.*does not let it be switched off$/, undefined],
    ],
    unknown: nic((it) => Object.assign(it, { features: {} })),
  },
  threaded: {
    right: nic((it) => Object.assign(it, { threaded: 0 })),
    wrong: [
      [nic((it) => Object.assign(it, { threaded: 1 })), 'note', /^NAPI is threaded/, /^echo 0 \| sudo tee \/sys\/class\/net\/eth0\/threaded$/],
      [nic((it) => Object.assign(it, { threaded: 1, netns: 'blue' })), 'note', /^NAPI is threaded/, /^sudo ip netns exec blue sh -c 'echo 0 > .*threaded'$/],
    ],
    unknown: nothing,
  },
  lower: {
    right: stacked({ name: 'eth1', netns: undefined }),
    wrong: [
      [stacked({ name: 'eth1', netns: 'blue' }), 'note', /^its packets come by eth1 in network namespace blue$/, /^sudo ringtap doctor -i eth1 --netns blue$/],
      [stacked(), 'note', /^its packets come by another interface, which is not to be seen from here$/, undefined],
      [nic((it) => Object.assign(it, { kind: 'bond', lowers: [] })), 'note', /^it has no members/, undefined],
    ],
    unknown: nothing,
  },
  segmentation: {
    right: nothing,
    wrong: [
      [used, 'note', /^what this host sends is captured before TSO and GSO cut it$/, /^sudo ethtool -K eth0 tso off gso off tx-udp-segmentation off$/],
      [all(used, feature('tx-udp-segmentation', false)), 'note', /^what this host sends/, /gso off$/],
      [
        nic((it) => Object.assign(it, { kind: 'veth', use: [], peer: { name: 'vb', netns: 'blue', features: { 'tx-tcp-segmentation': ON } } })),
        'note',
        /^vb in network namespace blue, its other end, sends into it what TSO and GSO have not cut$/,
        /^sudo ip netns exec blue ethtool -K vb tso off gso off$/,
      ],
    ],
    unknown: nic((it) => Object.assign(it, { kind: 'veth', use: [] })),
  },
  rxvlan: {
    right: feature('rx-vlan-hw-parse', false),
    wrong: [[nothing, 'note', /takes VLAN tags out/, /rxvlan off/]],
    unknown: nic((it) => Object.assign(it, { kind: 'veth' })),
  },
  ring: {
    right: nic((it) => Object.assign(it.rings?.rx as object, { current: 8192 })),
    wrong: [[nothing, 'note', /^the RX ring has 512 of 8192 entries$/, /ethtool -G eth0 rx 8192/]],
    unknown: nic((it) => Object.assign(it, { rings: undefined })),
  },
  rss: {
    right: setRss((rss) => {
      rss.symmetric = true
    }),
    wrong: [
      [nothing, 'note', /two directions/, /symmetric key/],
      [
        setRss((rss) => {
          rss.indirection = rss.indirection.map((queue) => queue % 2)
        }),
        'limits',
        /over 2 of 8 queues/,
        /ethtool -X eth0 equal 8/,
      ],
    ],
    unknown: nic((it) => Object.assign(it, { rss: undefined })),
  },
  'flow-hash': {
    right: setFlowHash({ udp4: 'tsdfn', udp6: 'sdfn' }),
    wrong: [
      [
        nothing,
        'note',
        /^RSS does not hash both addresses and both ports of udp4 \(sd\), udp6 \(sd\)$/,
        /^sudo ethtool -N eth0 rx-flow-hash udp4 sdfn && .*udp6/,
      ],
      [setFlowHash({ tcp6: 'vsdf', udp4: '' }), 'note', /of udp4 \(none\), tcp6 \(vsdf\)$/, /udp4 sdfn && sudo ethtool -N eth0 rx-flow-hash tcp6 vsdfn$/],
      [setFlowHash({ udp4: 'r', udp6: 'sd' }), 'limits', /^the NIC throws udp4 \(r\) away$/, /^sudo ethtool -N eth0 rx-flow-hash udp4 sdfn$/],
    ],
    unknown: setFlowHash({ sctp4: 'sd' }),
  },
  rps: {
    right: all(
      nic((it) => Object.assign(it, { rss: undefined })),
      nic((it) => Object.assign(it.receiveQueues[2] as object, { rpsCpus: [1] })),
    ),
    wrong: [
      [
        nic((it) => {
          Object.assign(it.receiveQueues[2] as object, { rpsCpus: [1] })
        }),
        'note',
        /^RPS is on for 1 of 8 queues$/,
        /rps_cpus/,
      ],
    ],
    unknown: nic((it) => Object.assign(it, { receiveQueues: [] })),
  },
  xdp: {
    right: nothing,
    wrong: [
      [
        nic((it) => {
          it.xdpPrograms.push({ mode: 'native', programId: 42, name: 'guard' })
        }),
        'note',
        /native, id 42, guard/,
        /bpftool prog show id 42/,
      ],
    ],
  },
  use: {
    right: nothing,
    wrong: [[nic((it) => it.use.push('address 192.0.2.1/24')), 'note', /address 192\.0\.2\.1\/24/, undefined]],
  },
}

/** The command, and what is to be known besides. */
function mend(finding: Finding | undefined): string {
  return [finding?.remedy, finding?.note].filter((text) => text !== undefined).join('; ')
}

const PROGRAMS = ['bpftool', 'echo', 'ethtool', 'nvm', 'ringtap', 'sudo', 'taskset']

/** It is pasted, or run by a program that reads --json. */
function assertCommand(remedy: string | undefined): void {
  if (remedy === undefined) return
  const { status, stderr } = spawnSync('sh', ['-n', '-c', remedy], { encoding: 'utf8' })
  assert.deepEqual([status, stderr], [0, ''], remedy)
  for (const command of remedy.split(/; | && /)) assert.ok(PROGRAMS.includes(command.split(' ')[0] as string) && !command.includes('…'), remedy)
}

for (const [id, { right, wrong, unknown }] of Object.entries({ ...HOST_CASES, ...INTERFACE_CASES })) {
  test(`${id}: right, wrong, unknown`, () => {
    const of = (change: Change) => {
      const examined = examinedHost('ixgbe')
      change(examined)
      return findingOf(examined, id)
    }
    assert.equal(of(right)?.severity, 'ok')
    assert.equal(mend(of(right)), '')
    for (const [change, severity, what, remedy] of wrong) {
      const finding = of(change)
      assert.equal(finding?.severity, severity, finding?.what)
      assert.match(finding?.what ?? '', what)
      if (remedy === undefined) assert.equal(mend(finding), '')
      else assert.match(mend(finding), remedy)
      assertCommand(finding?.remedy)
      assert.ok(finding?.cost !== undefined && finding.cost.length > 10)
      assert.equal(finding?.interface, id in INTERFACE_CASES ? 'eth0' : undefined)
    }
    if (unknown !== undefined) assert.equal(of(unknown), undefined)
  })
}

test('what is read-only says what cannot be tuned by that, and no more', () => {
  const costOf = (...places: ConfinementFacts['readOnly']) => {
    const examined = examinedHost('ixgbe')
    examined.confinement.readOnly = places
    return findingOf(examined, 'read-only')?.cost
  }
  assert.equal(costOf('/proc/irq'), 'tune cannot set from here: which CPUs interrupts go to')
  assert.equal(costOf('/proc/sys', '/sys'), 'tune cannot set from here: limits of the kernel (net.core.*), RPS and XPS of queues')
})

test('of an interface that stands on another only that is told which is its own', () => {
  const examined = examinedHost('ixgbe')
  stacked({ name: 'eth1', netns: undefined })(examined)
  const ids = diagnose(examined).findings.filter((it) => it.interface === 'eth0')
  assert.deepEqual(ids.map(({ id }) => id).sort(), ['link', 'lower', 'segmentation', 'use', 'xdp'])
})

test('a probe that could not be tried is no finding: it stands with what could not be read, unless a capability that is missing says so', () => {
  const examined = examinedHost('ixgbe')
  const untried = (errno: number) => {
    examined.probes = examined.probes.map((it) =>
      it.probe === 'xdp-link' ? { probe: it.probe, works: false, refused: undefined, untried: { call: 'open', errno, reason: 'why' } } : it,
    )
    assert.equal(findingOf(examined, 'xdp-link'), undefined)
    return diagnose(examined).unread.filter(({ what }) => what.includes('XDP program'))
  }
  const told = [{ what: 'an XDP program on an interface (bpf_link)', source: 'open', reason: 'could not be tried: why' }]
  assert.deepEqual([untried(2), untried(1)], [told, told])
  without('CAP_SYS_ADMIN')(examined)
  assert.deepEqual([untried(2), untried(1)], [told, []])
})

test('of more queues than RSS fills the command is for those that it fills', () => {
  const examined = examinedHost('ixgbe')
  const spread = (queues: number, used: number) => {
    nic((it) => Object.assign(it, { rxQueues: queues, rss: it.rss && { ...it.rss, indirection: it.rss.indirection.map((_, slot) => slot % used) } }))(examined)
    const found = findingOf(examined, 'rss')
    return [found?.severity, found?.remedy]
  }
  assert.deepEqual(spread(32, 8), ['limits', 'sudo ethtool -X eth0 equal 16'])
  assert.equal(spread(32, 16)[0], 'note')
})

test('there is a case for each finding', () => {
  assert.deepEqual(Object.keys(HOST_CASES).sort(), Object.keys(HOST_FINDINGS).sort())
  assert.deepEqual(Object.keys(INTERFACE_CASES).sort(), Object.keys(INTERFACE_FINDINGS).sort())
})

test('a probe that was refused for want of a capability is not told again, one that was refused with it is', () => {
  const examined = examinedHost('ixgbe')
  refused('packet-ring', 1)(examined)
  assert.equal(findingOf(examined, 'packet-ring')?.severity, 'limits')
  without('CAP_NET_RAW')(examined)
  assert.equal(findingOf(examined, 'packet-ring'), undefined)
  assert.equal(findingOf(examined, 'cap-net-raw')?.severity, 'fatal')
  refused('packet-ring', 95)(examined)
  assert.equal(findingOf(examined, 'packet-ring')?.severity, 'limits')
})

test('CAP_SYS_ADMIN is as good as CAP_BPF: programs that are refused with it are told, as are those refused for another reason than CAP_NET_ADMIN', () => {
  const programs = (...missing: CapabilityName[]) => {
    const examined = examinedHost('ixgbe')
    all(refused('bpf-program', 1), refused('xdp-link', 1), without(...missing))(examined)
    return ['cap-bpf', 'bpf-program', 'xdp-link'].map((id) => findingOf(examined, id)?.severity)
  }
  assert.deepEqual(programs(), ['ok', 'limits', 'limits'])
  assert.deepEqual(programs('CAP_BPF'), ['ok', 'limits', 'limits'])
  assert.deepEqual(programs('CAP_BPF', 'CAP_NET_ADMIN'), ['ok', 'limits', 'limits'])
  assert.deepEqual(programs('CAP_SYS_ADMIN'), ['ok', 'limits', undefined])
  assert.deepEqual(programs('CAP_SYS_ADMIN', 'CAP_NET_ADMIN'), ['ok', undefined, undefined])
  assert.deepEqual(programs('CAP_BPF', 'CAP_SYS_ADMIN'), ['limits', undefined, undefined])
  const examined = examinedHost('ixgbe')
  without('CAP_BPF')(examined)
  assert.match(findingOf(examined, 'cap-bpf')?.what ?? '', /CAP_SYS_ADMIN is held/)
})

test('packets that were lost before, and no more, leave nothing in the way', () => {
  const examined = examinedHost('ixgbe')
  all(feature('rx-gro', false), softnet('dropped', 4_000_000_000, 0))(examined)
  assert.equal(diagnose(examined).verdict, 'line-rate')
  softnet('dropped', 4_000_000_000, 1)(examined)
  assert.equal(diagnose(examined).verdict, 'limited')
  // A CPU that came between the two readings is not new loss.
  examined.earlier.softnet = []
  assert.equal(diagnose(examined).verdict, 'line-rate')
})

test('a capability that is permitted and not in effect is as good as missing', () => {
  const examined = examinedHost('ixgbe')
  without('CAP_NET_RAW')(examined)
  assert.match(findingOf(examined, 'cap-net-raw')?.what ?? '', /is permitted and not in effect/)
})

test('the verdict is that of the gravest finding, which comes first', () => {
  const examined = examinedHost('ixgbe')
  assert.equal(diagnose(examined).verdict, 'limited')
  feature('rx-gro', false)(examined)
  const { verdict, findings, interfaces } = diagnose(examined)
  assert.deepEqual([verdict, findings[0]?.severity, interfaces], ['line-rate', 'note', ['eth0']])
  without('CAP_NET_RAW')(examined)
  assert.deepEqual([diagnose(examined).verdict, diagnose(examined).findings[0]?.id], ['impossible', 'cap-net-raw'])
})

test('what could not be read is told, of interfaces with their name', () => {
  const examined = examinedHost('ixgbe')
  const fact = { what: 'a thing', source: '/proc/thing', reason: 'EACCES: permission denied' }
  examined.confinement.unread.push(fact)
  examined.interfaces[0]?.unread.push(fact)
  assert.deepEqual(
    diagnose(examined)
      .unread.filter((it) => it.source === '/proc/thing')
      .map((it) => it.what),
    ['a thing', 'eth0: a thing'],
  )
})

test('hash fields: ports alone are let be, and neither a driver that does not tell nor a single queue is a finding', () => {
  const found = (...changes: Change[]) => {
    const examined = examinedHost('ixgbe')
    all(...changes)(examined)
    return findingOf(examined, 'flow-hash')
  }
  assert.deepEqual([found(setFlowHash({ udp4: 'fn' }))?.severity, found(setFlowHash({ udp4: 'fn' }))?.what], ['ok', 'RSS hashes the ports'])
  assert.equal(found(setFlowHash(undefined)), undefined)
  assert.equal(found(queues(1)), undefined)
})

/** Every remedy that names the interface, by finding. */
function remedies(change: Change, of = (finding: Finding | undefined) => finding?.remedy): string[] {
  return Object.entries(INTERFACE_CASES).flatMap(([id, { wrong }]) =>
    wrong.flatMap(([first]) => {
      const examined = examinedHost('ixgbe')
      all(first, change)(examined)
      const remedy = of(findingOf(examined, id))
      return remedy === undefined ? [] : [remedy]
    }),
  )
}

test('of an interface in another namespace every remedy acts there', () => {
  const there = remedies(nic((it) => Object.assign(it, { netns: 'blue' })))
  assert.ok(there.length > 12)
  for (const remedy of there) {
    for (const command of remedy.split(/; |, or /).filter((it) => it.includes('eth0'))) {
      assert.match(command, /^sudo ip netns exec blue .*eth0|^(sudo |taskset .*)?ringtap .* -i eth0 --netns blue/, remedy)
    }
  }
  assert.ok(there.includes("sudo ip netns exec blue sh -c 'echo 0 | tee /sys/class/net/eth0/queues/rx-*/rps_cpus'"))
  const here = remedies(nic((it) => Object.assign(it, { foreignSysfs: true })))
  assert.ok(here.includes("sudo unshare -m sh -c 'mount -t sysfs sysfs /sys && echo 0 | tee /sys/class/net/eth0/queues/rx-*/rps_cpus'"))
})

test('sh takes the name of the interface as it is', () => {
  const remediesOf = remedies(nic((it) => Object.assign(it, { name: 'a;id>q' })))
  assert.ok(remediesOf.filter((it) => it.includes('a;id>q')).length > 12)
  for (const remedy of remediesOf) assert.ok(!remedy.replaceAll("'a;id>q'", '').includes('a;id'), remedy)
})

test('tuning the interface of the default route takes a word more, and the remedy says it', () => {
  const plain = remedies(nothing).filter((it) => it.includes('tune apply'))
  const warned = remedies(
    nic((it) => Object.assign(it, { defaultRoute: 'route default via 192.0.2.254' })),
    mend,
  ).filter((it) => it.includes('tune apply'))
  assert.ok(plain.length > 1 && plain.length === warned.length)
  for (const remedy of plain) assert.doesNotMatch(remedy, /may-lose/)
  for (const remedy of warned) {
    assert.match(remedy, /^sudo ringtap tune apply -i eth0 --yes-i-may-lose-this-link; it carries this host's default via 192\.0\.2\.254: /)
  }
})

test('queues of a veth that its other end cannot fill do not count', () => {
  const veth = (rxQueues: number, peerTxQueues: number | undefined) => {
    const examined = examinedHost('veth')
    const [facts] = examined.interfaces as [InterfaceFacts]
    const channels = facts.channels && { ...facts.channels, rx: { current: rxQueues, maximum: 4 } }
    const receiveQueues = facts.receiveQueues.slice(0, rxQueues)
    examined.interfaces = [{ ...facts, rxQueues, channels, receiveQueues, peerTxQueues }]
    const found = findingOf(examined, 'queues')
    return [found?.severity, found?.what, found?.remedy]
  }
  const others = 'a veth gets frames on as many as its other end has transmit queues'
  const rps = 'sudo ringtap tune apply -i veth0'
  assert.deepEqual(veth(2, 2), ['ok', '2 receive queues for 2 cores', undefined])
  assert.deepEqual(veth(1, 2), ['limits', '1 receive queue for 2 cores', 'sudo ethtool -L veth0 rx 2'])
  assert.deepEqual(veth(2, 1), ['limits', `2 receive queues for 2 cores, and 1 of them filled; ${others}, and those are 1`, rps])
  assert.deepEqual(veth(1, 1), ['limits', `1 receive queue for 2 cores; ${others}, and those are 1`, rps])
  assert.deepEqual(veth(1, undefined), ['limits', `1 receive queue for 2 cores; ${others}, and how many those are is not to be read`, rps])
})
