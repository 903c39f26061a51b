/**
 * Tags that no frame holds: a program at the outlet of an interface gives packets a VLAN tag beside their bytes, as a VLAN device or
 * a NIC that takes tags out of frames does (skb_vlan_push); a veth carries it over. Which one, the frame says in its source address.
 */
import assert from 'node:assert/strict'
import { alu, assemble, call, exit, jumpIf, label, loadAbsolute, toBigEndian } from '#src/bpf/ebpf.js'
import { BPF_ATTR_LINK_CREATE, BPF_ATTR_PROG_LOAD, BPF_LINK_CREATE, BPF_PROG_LOAD } from '#src/kernel/abi/bpf.js'
import { newAttributes, setPointer } from '#src/kernel/bpf-call.js'
import { Descriptor } from '#src/kernel/descriptor.js'
import { openControlSocket } from '#src/kernel/ethtool.js'
import { identifyInterface } from '#src/kernel/interface.js'
import { openNamespace, withNamespace } from '#src/kernel/namespace.js'
import { openKernel } from '#src/kernel/system.js'
import type { TestbedEnd } from '#src/testbed/index.js'

const BPF_PROG_TYPE_SCHED_CLS = 3
const BPF_FUNC_skb_vlan_push = 18
/** Since Linux 6.6. */
const BPF_TCX_EGRESS = 47
const SOURCE_TCI = 8
const SOURCE_TPID = 10

export interface Tag {
  tpid: number
  tci: number
}

/** The frame that asks for this tag. */
export function asksForTag(frame: Uint8Array, tag: Tag | undefined): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(frame)
  const view = new DataView(bytes.buffer)
  view.setUint16(SOURCE_TCI, tag?.tci ?? 0)
  view.setUint16(SOURCE_TPID, tag?.tpid ?? 0)
  return bytes
}

/** In force until it is disposed of. */
export function tagPacketsOf(end: TestbedEnd): Disposable {
  const kernel = openKernel()
  const code = assemble([
    alu('mov', 'r6', 'r1'),
    loadAbsolute('h', SOURCE_TCI),
    alu('mov', 'r7', 'r0'),
    loadAbsolute('h', SOURCE_TPID),
    jumpIf('eq', 'r0', 0, 'end'),
    alu('mov', 'r1', 'r6'),
    alu('mov', 'r2', 'r0'),
    toBigEndian('r2', 16),
    alu('mov', 'r3', 'r7'),
    call(BPF_FUNC_skb_vlan_push),
    label('end'),
    alu('mov', 'r0', 0),
    exit(),
  ])
  const load = newAttributes(BPF_ATTR_PROG_LOAD.sizeof)
  const license = new Uint8Array(new ArrayBuffer(32))
  new TextEncoder().encodeInto('GPL', license)
  load.view.setUint32(BPF_ATTR_PROG_LOAD.prog_type, BPF_PROG_TYPE_SCHED_CLS, true)
  load.view.setUint32(BPF_ATTR_PROG_LOAD.insn_cnt, code.length / 8, true)
  setPointer(kernel, load, BPF_ATTR_PROG_LOAD.insns, code)
  setPointer(kernel, load, BPF_ATTR_PROG_LOAD.license, license)
  const program = new Descriptor(kernel, kernel.bpf(BPF_PROG_LOAD, load.bytes))
  assert.ok(program.fd >= 0, `BPF_PROG_LOAD: ${program.fd}`)
  using namespace = openNamespace(kernel, end.netns)
  const link = withNamespace(kernel, namespace, () => {
    using control = openControlSocket(kernel)
    const identity = identifyInterface(kernel, control.fd, end.interface)
    if (typeof identity === 'number') throw new Error(`${end.interface}: errno ${identity}`)
    const create = newAttributes(BPF_ATTR_LINK_CREATE.sizeof)
    create.view.setUint32(BPF_ATTR_LINK_CREATE.prog_fd, program.fd, true)
    create.view.setUint32(BPF_ATTR_LINK_CREATE.target_ifindex, identity.index, true)
    create.view.setUint32(BPF_ATTR_LINK_CREATE.attach_type, BPF_TCX_EGRESS, true)
    return new Descriptor(kernel, kernel.bpf(BPF_LINK_CREATE, create.bytes))
  })
  program.close()
  assert.ok(link.fd >= 0, `BPF_LINK_CREATE: ${link.fd}`)
  return link
}
