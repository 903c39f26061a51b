import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { BPF_ATTR_INFO, BPF_ATTR_LINK_CREATE, BPF_LINK_INFO, BPF_PROG_INFO } from '#src/kernel/abi/bpf.js'
import { attachXdp, findLinkHolder } from '#src/kernel/bpf-link.js'
import { Descriptor } from '#src/kernel/descriptor.js'
import { u32 } from '#src/kernel/netlink.js'
import { bpfMemory } from '../../support/bpf-memory.js'
import { type FakeKernel, fakeKernel } from '../../support/fake-kernel.js'
import { type Answer, ack, answering, link, refusal } from '../../support/netlink-answers.js'

const [GET_FD_BY_ID, GET_INFO, LINK_CREATE, LINK_UPDATE, LINK_DETACH] = [13, 15, 28, 29, 34]
const EPERM = 1
const EBUSY = 16
const EEXIST = 17
const ENODEV = 19
const EINVAL = 22
const ENOSPC = 28
const ERANGE = 34
const EOPNOTSUPP = 95

/** No process has a program of this number. */
const PROGRAM_ID = 0x7fff_fff0

const attach = (kernel: FakeKernel, mode: 'native' | 'generic' = 'native', busyTimeoutMs = 0) =>
  attachXdp(kernel, { program: new Descriptor(kernel, 40), interfaceName: 'eth1', interfaceIndex: 7, mode, busyTimeoutMs })

const none = link(7, 'eth1', { xdp: [[2, Uint8Array.of(0)]] })
const native = link(7, 'eth1', {
  xdp: [
    [2, Uint8Array.of(1)],
    [5, u32(PROGRAM_ID)],
  ],
})

/** A kernel that refuses links with these errnos, one after the other, and shows these links. */
function refusing(errnos: readonly number[], links: readonly Answer[], name: string | null = 'xdp_other') {
  const { kernel } = answering(...links.map((it) => [[it, ack]]))
  const memory = bpfMemory(kernel)
  const left = [...errnos]
  kernel.answer('bpf', (command, attributes) => {
    if (command === LINK_CREATE) {
      const errno = left.shift()
      return errno === undefined ? kernel.eventfd(0, 0) : -errno
    }
    if (command === GET_FD_BY_ID) return name === null ? -EPERM : kernel.eventfd(0, 0)
    if (command === GET_INFO) {
      const info = memory.at(attributes, BPF_ATTR_INFO.info) as Uint8Array
      const view = new DataView(info.buffer)
      view.setUint32(BPF_PROG_INFO.nr_map_ids, 0, true)
      new TextEncoder().encodeInto(name ?? '', info.subarray(BPF_PROG_INFO.name))
    }
    return 0
  })
  return kernel
}

describe('attachXdp', () => {
  test('what the kernel is given, in each mode', () => {
    for (const [mode, flags] of [
      ['native', 4],
      ['generic', 2],
    ] as const) {
      const kernel = fakeKernel()
      kernel.answer('bpf', (command, attributes) => {
        assert.equal(command, LINK_CREATE)
        const view = new DataView(attributes.buffer)
        const fields = ['prog_fd', 'target_ifindex', 'attach_type', 'flags'] as const
        assert.deepEqual(
          fields.map((field) => view.getUint32(BPF_ATTR_LINK_CREATE[field], true)),
          [40, 7, 37, flags],
        )
        return 41
      })
      assert.equal(attach(kernel, mode).fd, 41)
    }
  })

  test('detached and closed once; update takes the link and the program', () => {
    const kernel = fakeKernel()
    const xdp = attach(kernel)
    const fd = xdp.fd
    xdp.update(new Descriptor(kernel, 55))
    xdp.detach()
    xdp.detach()
    xdp[Symbol.dispose]()
    assert.equal(xdp.fd, -1)
    assert.deepEqual(kernel.openDescriptors, [])
    const calls = kernel.calls
      .filter(({ name }) => name === 'bpf')
      .map(({ arguments: [command, attributes] }) => [command, ...new Uint32Array((attributes as Uint8Array).buffer)])
    assert.deepEqual(calls.slice(1), [
      [LINK_UPDATE, fd, 55, 0, 0],
      [LINK_DETACH, fd],
    ])
    assert.deepEqual(kernel.names().slice(-2), ['bpf', 'close'])
  })

  test('a refused update, and a detach from an interface that has gone', () => {
    const kernel = fakeKernel()
    const xdp = attach(kernel)
    kernel.fail('bpf', EINVAL)
    assert.throws(() => xdp.update(new Descriptor(kernel, 55)), { code: 'XDP_REFUSED', message: 'eth1: bpf(BPF_LINK_UPDATE): EINVAL (invalid argument)' })
    kernel.fail('bpf', EINVAL)
    xdp.detach()
    assert.deepEqual(kernel.openDescriptors, [])
  })

  test('what it is attached to', () => {
    const kernel = fakeKernel()
    const memory = bpfMemory(kernel)
    let index = 7
    kernel.answer('bpf', (command, attributes) => {
      if (command !== GET_INFO) return 41
      const view = new DataView(attributes.buffer)
      assert.deepEqual([view.getUint32(BPF_ATTR_INFO.bpf_fd, true), view.getUint32(BPF_ATTR_INFO.info_len, true)], [41, BPF_LINK_INFO.sizeof])
      const info = memory.at(attributes, BPF_ATTR_INFO.info) as Uint8Array
      new DataView(info.buffer).setUint32(BPF_LINK_INFO.xdp_ifindex, index, true)
      return 0
    })
    const xdp = attach(kernel)
    assert.equal(xdp.attachedTo(), 7)
    index = 0
    assert.equal(xdp.attachedTo(), 0)
    kernel.fail('bpf', EINVAL)
    assert.throws(() => xdp.attachedTo(), { message: 'eth1: bpf(BPF_OBJ_GET_INFO_BY_FD, link): EINVAL (invalid argument)' })
  })

  test('EBUSY without a program is waited for', () => {
    const kernel = refusing([EBUSY, EBUSY], [none, none])
    using xdp = attach(kernel, 'native', 10_000)
    assert.deepEqual(kernel.openDescriptors, [xdp.fd])
  })

  test('but not for ever', () => {
    const kernel = refusing(Array(100).fill(EBUSY), Array(100).fill(none))
    const started = performance.now()
    assert.throws(() => attach(kernel, 'native', 60), {
      code: 'XDP_REFUSED',
      message: 'eth1: bpf(BPF_LINK_CREATE, BPF_XDP, native): EBUSY (resource busy or locked)',
    })
    const elapsed = performance.now() - started
    assert.ok(elapsed >= 60 && elapsed < 1000, `${elapsed} ms`)
    assert.deepEqual(kernel.openDescriptors, [])
  })

  for (const errno of [EBUSY, EEXIST]) {
    test(`errno ${errno}, and there is a program: its id, name and mode, at once`, () => {
      const kernel = refusing([errno], [native])
      assert.throws(() => attach(kernel, 'generic', 10_000), {
        code: 'XDP_REFUSED',
        message: new RegExp(`^eth1: bpf\\(BPF_LINK_CREATE, BPF_XDP, generic\\): .*: XDP program ${PROGRAM_ID} 'xdp_other' is attached \\(native\\)$`),
        hint: new RegExp(`^bpftool prog show id ${PROGRAM_ID} shows it; to take it off, ip link set dev eth1 xdp off, or`),
      })
      assert.deepEqual(kernel.openDescriptors, [])
    })
  }

  test('a program whose name we may not know, and one without', () => {
    for (const name of [null, '']) {
      const kernel = refusing([EBUSY], [native], name)
      assert.throws(() => attach(kernel), { message: new RegExp(`XDP program ${PROGRAM_ID} is attached \\(native\\)$`) })
      assert.deepEqual(kernel.openDescriptors, [])
    }
  })

  test('an interface that is not there', () => {
    // bpf(2) says EINVAL.
    const kernel = refusing([EINVAL], [refusal(ENODEV)])
    assert.throws(() => attach(kernel), { code: 'NO_SUCH_INTERFACE' })
    assert.deepEqual(kernel.openDescriptors, [])
  })

  test('other refusals say what may be done', () => {
    for (const [errno, mode, expected] of [
      [EOPNOTSUPP, 'native', { code: 'XDP_REFUSED', message: /: the driver of eth1 has no native XDP$/, hint: /generic XDP works on every interface/ }],
      [EINVAL, 'native', { code: 'XDP_REFUSED', hint: /MTU may be too large for native XDP \(about 3500 bytes/ }],
      [EINVAL, 'generic', { code: 'XDP_REFUSED', hint: /Linux 5.9/ }],
      [ERANGE, 'native', { code: 'XDP_REFUSED', hint: /ip link set dev eth1 mtu 1500/ }],
      [ENOSPC, 'native', { code: 'XDP_REFUSED', hint: /too few queues/ }],
      [EEXIST, 'native', { code: 'XDP_REFUSED', hint: /a bond or bridge above eth1/ }],
      [EPERM, 'native', { code: 'PERMISSION', hint: /cap_bpf/ }],
      [12, 'native', { code: 'XDP_REFUSED', errnoName: 'ENOMEM' }],
    ] as const) {
      const kernel = refusing([errno], [none])
      assert.throws(() => attach(kernel, mode), expected, `errno ${errno}`)
      assert.deepEqual(kernel.openDescriptors, [])
    }
  })

  test('every step of a refusal may fail: an error, nothing left open', () => {
    for (let step = 1; ; step++) {
      assert.ok(step < 50)
      const kernel = refusing([EBUSY], [native, native])
      kernel.failNth(step, 105)
      try {
        attach(kernel)
        assert.fail(`step ${step}: attached`)
      } catch (error) {
        assert.ok(['XDP_REFUSED', 'SYSTEM_CALL_FAILED'].includes((error as { code: string }).code), `step ${step}: ${error}`)
      }
      assert.deepEqual(kernel.openDescriptors, [], `step ${step}`)
      if (!kernel.failed) break
    }
  })
})

describe('findLinkHolder', () => {
  test('the process whose link has the program', (t) => {
    const proc = mkdtempSync(join(tmpdir(), 'ringtap-proc-'))
    t.after(() => rmSync(proc, { recursive: true }))
    const process = (pid: number, command: string, fds: readonly (readonly [string, string])[]) => {
      mkdirSync(join(proc, `${pid}/fd`), { recursive: true })
      mkdirSync(join(proc, `${pid}/fdinfo`))
      writeFileSync(join(proc, `${pid}/comm`), `${command}\n`)
      for (const [fd, [target, info]] of fds.entries()) {
        symlinkSync(target, join(proc, `${pid}/fd/${fd}`))
        if (info !== '') writeFileSync(join(proc, `${pid}/fdinfo/${fd}`), info)
      }
    }
    const xdp = (id: number, type = 'xdp') =>
      `pos:\t0\nflags:\t02000000\nlink_type:\t${type}\nlink_id:\t9${id}\nprog_tag:\t614b434cd8324ecc\nprog_id:\t${id}\nifindex:\t2\n`
    mkdirSync(join(proc, 'sys'))
    process(12, 'sshd', [
      ['socket:[1]', ''],
      ['/dev/null', xdp(5)],
    ])
    process(13, 'cilium', [['anon_inode:bpf_link', xdp(5, 'tcx')]])
    process(14, 'gone', [['anon_inode:bpf_link', '']])
    process(15, 'suricata', [
      ['anon_inode:bpf_link', xdp(4)],
      ['anon_inode:bpf-link', xdp(5)],
    ])
    assert.deepEqual(findLinkHolder(5, proc), { pid: 15, command: 'suricata', linkId: 95 })
    assert.equal(findLinkHolder(6, proc), undefined)
    assert.equal(findLinkHolder(5, join(proc, 'nowhere')), undefined)
  })
})
