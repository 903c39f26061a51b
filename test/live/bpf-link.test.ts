/** XDP programs on interfaces: attached, found, refused, and gone with whoever held them. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { alu, assemble, exit } from '#src/bpf/ebpf.js'
import type { CaptureError } from '#src/errors.js'
import { BPF_F_XDP_HAS_FRAGS } from '#src/kernel/abi/bpf.js'
import { XDP_DROP, XDP_PASS } from '#src/kernel/abi/ebpf.js'
import { IFINFOMSG, RTM_SETLINK } from '#src/kernel/abi/rtnetlink.js'
import { attachXdp, findLinkHolder, type XdpLink } from '#src/kernel/bpf-link.js'
import { loadProgram, programInfo } from '#src/kernel/bpf-program.js'
import type { Descriptor } from '#src/kernel/descriptor.js'
import { openNamespace, withNamespace } from '#src/kernel/namespace.js'
import { attachedXdp, encodeAttributes, getLink, RouteSocket, u32 } from '#src/kernel/netlink.js'
import { openKernel } from '#src/kernel/system.js'
import { createTestbed, type Testbed } from '#src/testbed/index.js'
import { inNamespace, live, openDescriptors, until } from '../support/live.js'

const kernel = openKernel()

function answering(action: number, name: string, flags = 0): Descriptor {
  return loadProgram(kernel, { name, type: 'xdp', code: assemble([alu('mov', 'r0', action), exit()]), flags })
}

type Mode = 'native' | 'generic'

/** The receiving end of a testbed, from inside its namespace. */
function receiverOf(testbed: Testbed) {
  const { netns, interface: interfaceName } = testbed.receiver
  const inside = <T>(run: () => T): T => {
    using namespace = openNamespace(kernel, netns)
    return withNamespace(kernel, namespace, run)
  }
  const routed = <T>(run: (route: RouteSocket, index: number) => T): T =>
    inside(() => {
      using route = RouteSocket.open(kernel)
      return run(route, getLink(route, interfaceName).index)
    })
  const attach = (program: Descriptor, mode: Mode, busyTimeoutMs = 200): XdpLink =>
    routed((_route, interfaceIndex) => attachXdp(kernel, { program, interfaceName, interfaceIndex, mode, busyTimeoutMs }))
  const shown = () =>
    (JSON.parse(inNamespace(netns, 'ip', '-j', 'link', 'show', 'dev', interfaceName)) as { xdp?: { mode: number; prog: { id: number } } }[])[0].xdp
  return { netns, interfaceName, inside, routed, attach, shown, attached: () => routed((route) => attachedXdp(route, interfaceName)) }
}

for (const mode of ['native', 'generic'] as const) {
  live(`${mode}: attached, changed, detached`, () => {
    using testbed = createTestbed()
    const end = receiverOf(testbed)
    using pass = answering(XDP_PASS, 'ringtap_pass')
    using drop = answering(XDP_DROP, 'ringtap_drop')
    assert.deepEqual(end.attached(), [])
    const link = end.attach(pass, mode)
    const { id } = programInfo(kernel, pass.fd)
    assert.deepEqual(end.attached(), [{ mode, programId: id }])
    assert.deepEqual([end.shown()?.mode, end.shown()?.prog.id], [mode === 'native' ? 1 : 2, id])
    link.update(drop)
    assert.deepEqual(end.attached(), [{ mode, programId: programInfo(kernel, drop.fd).id }])
    const { fd } = link
    assert.ok(fd > 0)
    link.detach()
    link.detach()
    assert.deepEqual(end.attached(), [])
    assert.equal(end.shown(), undefined)
    // At once again, many times.
    for (let i = 0; i < 20; i++) end.attach(pass, mode).detach()
    assert.deepEqual(end.attached(), [])
  })
}

live('another program is there: its id, name, mode and holder', () => {
  using testbed = createTestbed()
  const end = receiverOf(testbed)
  using pass = answering(XDP_PASS, 'ringtap_pass')
  using drop = answering(XDP_DROP, 'other_drop')
  const { id } = programInfo(kernel, drop.fd)
  for (const first of ['native', 'generic'] as const) {
    using _link = end.attach(drop, first)
    for (const second of ['native', 'generic'] as const) {
      const before = openDescriptors().length
      const started = performance.now()
      assert.throws(
        () => end.attach(pass, second, 10_000),
        (error: CaptureError) => {
          assert.equal(error.code, 'XDP_REFUSED')
          assert.equal(error.errnoName, first === second ? 'EBUSY' : 'EEXIST')
          assert.match(
            error.message,
            new RegExp(
              `^mirror0: bpf\\(BPF_LINK_CREATE, BPF_XDP, ${second}\\): .*: XDP program ${id} 'other_drop' is attached \\(${first}\\), held by process ${process.pid} \\(.+\\)$`,
            ),
          )
          assert.match(
            error.hint ?? '',
            new RegExp(`^bpftool prog show id ${id} shows it; to take it off, end process ${process.pid}, or bpftool link detach id \\d+$`),
          )
          return true
        },
      )
      // Somebody's program does not go away by waiting.
      assert.ok(performance.now() - started < 2000)
      assert.equal(openDescriptors().length, before)
    }
    assert.equal(findLinkHolder(id)?.pid, process.pid)
  }
  assert.equal(findLinkHolder(id), undefined)
})

live('a program that was attached without a link has no holder; the command that is named takes it off', () => {
  using testbed = createTestbed()
  const end = receiverOf(testbed)
  using drop = answering(XDP_DROP, 'other_drop')
  using pass = answering(XDP_PASS, 'ringtap_pass')
  end.routed((route, index) => {
    const header = new Uint8Array(IFINFOMSG.sizeof)
    new DataView(header.buffer).setInt32(IFINFOMSG.ifi_index, index, true)
    const body = encodeAttributes([[43, [[1, u32(drop.fd)]]]], header)
    route.request('mirror0', 'RTM_SETLINK(IFLA_XDP)', RTM_SETLINK, 0, body)
  })
  assert.equal(end.attached().length, 1)
  assert.throws(() => end.attach(pass, 'native'), {
    code: 'XDP_REFUSED',
    message: /XDP program \d+ 'other_drop' is attached \(native\)$/,
    hint: /ip link set dev mirror0 xdp off/,
  })
  inNamespace(end.netns, 'ip', 'link', 'set', 'dev', 'mirror0', 'xdp', 'off')
  end.attach(pass, 'native').detach()
})

live('interfaces that will not', () => {
  using testbed = createTestbed({ mtu: 9000 })
  const end = receiverOf(testbed)
  using pass = answering(XDP_PASS, 'ringtap_pass')
  using frags = answering(XDP_PASS, 'ringtap_frags', BPF_F_XDP_HAS_FRAGS)
  assert.throws(() => end.attach(pass, 'native'), { code: 'XDP_REFUSED', errnoName: 'ERANGE', hint: /MTU.*too large for native XDP/ })
  end.attach(frags, 'native').detach()
  end.attach(pass, 'generic').detach()
  const onto = (interfaceName: string, interfaceIndex: number, mode: Mode) =>
    end.inside(() => attachXdp(kernel, { program: pass, interfaceName, interfaceIndex, mode }))
  assert.throws(() => onto('lo', 1, 'native'), {
    code: 'XDP_REFUSED',
    errnoName: 'EOPNOTSUPP',
    message: /the driver of lo has no native XDP$/,
    hint: /generic XDP works/,
  })
  onto('lo', 1, 'generic').detach()
  assert.throws(() => onto('nowhere0', 4711, 'native'), { code: 'NO_SUCH_INTERFACE' })
})

live('a veth with fewer receive queues than its other end sends on', () => {
  using testbed = createTestbed({ queues: 1 })
  const end = receiverOf(testbed)
  inNamespace(
    end.netns,
    'ip',
    'link',
    'add',
    'few',
    'numrxqueues',
    '1',
    'numtxqueues',
    '4',
    'type',
    'veth',
    'peer',
    'name',
    'many',
    'numrxqueues',
    '4',
    'numtxqueues',
    '4',
  )
  using pass = answering(XDP_PASS, 'ringtap_pass')
  assert.throws(
    () =>
      end.routed((route) => {
        attachXdp(kernel, { program: pass, interfaceName: 'few', interfaceIndex: getLink(route, 'few').index, mode: 'native' })
      }),
    { code: 'XDP_REFUSED', errnoName: 'ENOSPC', hint: /as many receive queues as its other end has transmit queues/ },
  )
})

live('the interface goes first', () => {
  using testbed = createTestbed()
  const end = receiverOf(testbed)
  using pass = answering(XDP_PASS, 'ringtap_pass')
  const link = end.attach(pass, 'native')
  inNamespace(end.netns, 'ip', 'link', 'delete', 'mirror0')
  assert.throws(() => link.update(pass), { code: 'XDP_REFUSED' })
  link.detach()
})

/** Attaches a program to the receiver, says so, and waits to be killed. */
const HOLDER = `
  const [modules, netns] = process.argv.slice(1)
  const { alu, assemble, exit } = await import(modules + 'bpf/ebpf.js')
  const { attachXdp } = await import(modules + 'kernel/bpf-link.js')
  const { loadProgram } = await import(modules + 'kernel/bpf-program.js')
  const { openNamespace, withNamespace } = await import(modules + 'kernel/namespace.js')
  const { getLink, RouteSocket } = await import(modules + 'kernel/netlink.js')
  const { openKernel } = await import(modules + 'kernel/system.js')
  const kernel = openKernel()
  const program = loadProgram(kernel, { name: 'ringtap_held', type: 'xdp', code: assemble([alu('mov', 'r0', 2), exit()]) })
  globalThis.link = withNamespace(kernel, openNamespace(kernel, netns), () => {
    const interfaceIndex = getLink(RouteSocket.open(kernel), 'mirror0').index
    return attachXdp(kernel, { program, interfaceName: 'mirror0', interfaceIndex, mode: 'native' })
  })
  console.log('attached')
  setInterval(() => {}, 1000)
`

live('kill -9 of the holder leaves no program behind', async () => {
  using testbed = createTestbed()
  const end = receiverOf(testbed)
  const modules = new URL('../', import.meta.resolve('#src/kernel/system.js')).href
  const child = spawn(process.execPath, ['--input-type=module', '--eval', HOLDER, '--', modules, end.netns], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  try {
    await once(child.stdout, 'data')
    const held = end.attached()
    assert.equal(held.length, 1)
    assert.equal(findLinkHolder(held[0].programId)?.pid, child.pid)
    using pass = answering(XDP_PASS, 'ringtap_pass')
    assert.throws(() => end.attach(pass, 'native'), { message: new RegExp(`'ringtap_held' is attached \\(native\\), held by process ${child.pid} `) })
  } finally {
    child.kill('SIGKILL')
    await exited
  }
  await until('the program is gone', () => end.attached().length === 0, 2000)
  assert.equal(end.shown(), undefined)
})

/** Loads our programs and attaches one to mirror0 of its own namespace; says the error that this ends with. */
const LOADER = `
  const [modules] = process.argv.slice(1)
  const { assemble } = await import(modules + 'bpf/ebpf.js')
  const { fanoutProgram } = await import(modules + 'bpf/fanout-program.js')
  const { xskMaps, xskProgram } = await import(modules + 'bpf/xsk-program.js')
  const { attachXdp } = await import(modules + 'kernel/bpf-link.js')
  const { BpfMap } = await import(modules + 'kernel/bpf-map.js')
  const { loadProgram } = await import(modules + 'kernel/bpf-program.js')
  const { getLink, RouteSocket } = await import(modules + 'kernel/netlink.js')
  const { openKernel } = await import(modules + 'kernel/system.js')
  const kernel = openKernel()
  const say = ({ code, message, hint }) => ({ code, message, hint })
  const attempt = (run) => {
    try {
      return { done: run() }
    } catch (error) {
      return say(error)
    }
  }
  const answers = {}
  answers.fanout = attempt(() => loadProgram(kernel, { name: 'ringtap_fanout', type: 'socket_filter', code: assemble(fanoutProgram(4)) }).fd > 0)
  answers.xsk = attempt(() => {
    const shapes = xskMaps(2)
    const xsks = BpfMap.create(kernel, shapes.xsks)
    const queues = BpfMap.create(kernel, shapes.queues)
    const program = loadProgram(kernel, { name: 'ringtap_xsk', type: 'xdp', code: assemble(xskProgram(), { xsks: xsks.fd, queues: queues.fd }) })
    const interfaceIndex = getLink(RouteSocket.open(kernel), 'mirror0').index
    attachXdp(kernel, { program, interfaceName: 'mirror0', interfaceIndex, mode: 'native' }).detach()
    return true
  })
  console.log(JSON.stringify(answers))
`

type Answers = Record<'fanout' | 'xsk', { done?: boolean; code?: string; message?: string; hint?: string }>

/** As another user with these capabilities, within the namespace. */
function loadAs(netns: string, capabilities: readonly string[]): Answers {
  const granted = capabilities.map((name) => `+${name}`).join(',')
  const grants = granted === '' ? [] : [`--inh-caps=${granted}`, `--ambient-caps=${granted}`]
  const modules = new URL('../', import.meta.resolve('#src/kernel/system.js')).href
  return JSON.parse(
    inNamespace(
      netns,
      'setpriv',
      '--reuid=65534',
      '--regid=65534',
      '--clear-groups',
      ...grants,
      '--',
      process.execPath,
      '--input-type=module',
      '--eval',
      LOADER,
      '--',
      modules,
    ),
  ) as Answers
}

live('without root: what the hint grants is enough, and without it the hint comes', () => {
  using testbed = createTestbed()
  const end = receiverOf(testbed)
  assert.deepEqual(loadAs(end.netns, ['bpf', 'net_admin', 'net_raw']), { fanout: { done: true }, xsk: { done: true } })
  for (const capabilities of [[], ['net_raw']]) {
    const { fanout, xsk } = loadAs(end.netns, capabilities)
    // Socket programs may be everybody's.
    const forAll = readFileSync('/proc/sys/kernel/unprivileged_bpf_disabled', 'latin1').trim() === '0'
    for (const { code, message, hint } of forAll ? [xsk] : [fanout, xsk]) {
      assert.equal(code, 'PERMISSION', message)
      assert.match(
        message ?? '',
        /^ringtap_\w+: bpf\(BPF_\w+, .*EPERM: permission denied, CAP_BPF and CAP_NET_ADMIN \(before Linux 5.8 CAP_SYS_ADMIN\) is missing$/,
      )
      assert.match(hint ?? '', /setcap cap_bpf,cap_net_admin,cap_net_raw\+eip.*AmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN CAP_BPF/)
    }
  }
  // Without CAP_SYS_ADMIN nothing is known of others' programs but their id.
  using drop = answering(XDP_DROP, 'other_drop')
  using _link = end.attach(drop, 'native')
  const { xsk } = loadAs(end.netns, ['bpf', 'net_admin'])
  assert.equal(xsk.code, 'XDP_REFUSED')
  assert.match(xsk.message ?? '', new RegExp(`EBUSY.*: XDP program ${programInfo(kernel, drop.fd).id} is attached \\(native\\)$`))
})
