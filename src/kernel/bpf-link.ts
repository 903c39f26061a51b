/** XDP programs on interfaces, by bpf_link: attached for as long as the link is open, and gone with the process that holds it. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { CaptureError } from '../errors.js'
import {
  BPF_ATTR_INFO,
  BPF_ATTR_LINK_CREATE,
  BPF_ATTR_LINK_DETACH,
  BPF_ATTR_LINK_UPDATE,
  BPF_LINK_CREATE,
  BPF_LINK_DETACH,
  BPF_LINK_INFO,
  BPF_LINK_UPDATE,
  BPF_OBJ_GET_INFO_BY_FD,
  BPF_XDP,
} from './abi/bpf.js'
import { XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE } from './abi/rtnetlink.js'
import { bpfFailed, newAttributes, setPointer } from './bpf-call.js'
import { programById } from './bpf-program.js'
import { Descriptor } from './descriptor.js'
import { CAP_BPF, EBUSY, EEXIST, EINVAL, ENOSPC, EOPNOTSUPP, ERANGE } from './errno.js'
import { type AttachedXdp, attachedXdp, RouteSocket } from './netlink.js'
import type { Kernel } from './system.js'
import { sleepThread } from './thread.js'

export interface XdpAttachment {
  program: Descriptor
  /** For messages and for what rtnetlink tells. */
  interfaceName: string
  /** In the calling thread's network namespace. */
  interfaceIndex: number
  /** `native` in the driver, which must be able to; `generic` for all skbs in the kernel, on every interface. */
  mode: 'native' | 'generic'
  /** How long to wait for a program that is just being taken off, in milliseconds. Default 2000. */
  busyTimeoutMs?: number | undefined
}

const BUSY_TIMEOUT_MS = 2000
const BUSY_PAUSE_MS = 20
/** How long the holder of another program is looked for. */
const SEARCH_MS = 250

/** An attached program. */
export class XdpLink implements Disposable {
  readonly interfaceName: string
  readonly #kernel: Kernel
  readonly #descriptor: Descriptor

  constructor(kernel: Kernel, descriptor: Descriptor, interfaceName: string) {
    this.interfaceName = interfaceName
    this.#kernel = kernel
    this.#descriptor = descriptor
  }

  /** -1 after `detach`. */
  get fd(): number {
    return this.#descriptor.fd
  }

  /** Puts another program of the same kind in this one's place, without a gap. */
  update(program: Descriptor): void {
    const { bytes, view } = newAttributes(BPF_ATTR_LINK_UPDATE.sizeof)
    view.setUint32(BPF_ATTR_LINK_UPDATE.link_fd, this.fd, true)
    view.setUint32(BPF_ATTR_LINK_UPDATE.new_prog_fd, program.fd, true)
    const result = this.#kernel.bpf(BPF_LINK_UPDATE, bytes)
    if (result < 0) throw bpfFailed({ subject: this.interfaceName, call: 'bpf(BPF_LINK_UPDATE)', errno: result, code: 'XDP_REFUSED', capability: CAP_BPF })
  }

  /** The interface that the program is on; 0 when it is on none: the interface is gone, or someone else has detached the link. */
  attachedTo(): number {
    const info = newAttributes(BPF_LINK_INFO.sizeof)
    const attributes = newAttributes(BPF_ATTR_INFO.sizeof)
    attributes.view.setUint32(BPF_ATTR_INFO.bpf_fd, this.fd, true)
    attributes.view.setUint32(BPF_ATTR_INFO.info_len, info.bytes.length, true)
    setPointer(this.#kernel, attributes, BPF_ATTR_INFO.info, info.bytes)
    const result = this.#kernel.bpf(BPF_OBJ_GET_INFO_BY_FD, attributes.bytes)
    if (result < 0) throw bpfFailed({ subject: this.interfaceName, call: 'bpf(BPF_OBJ_GET_INFO_BY_FD, link)', errno: result })
    return info.view.getUint32(BPF_LINK_INFO.xdp_ifindex, true)
  }

  /** Takes the program off the interface, at once, even if another process has this link open as well. Idempotent. */
  detach(): void {
    if (this.fd < 0) return
    const { bytes, view } = newAttributes(BPF_ATTR_LINK_DETACH.sizeof)
    view.setUint32(BPF_ATTR_LINK_DETACH.link_fd, this.fd, true)
    // Where the interface has gone before there is nothing to take off.
    this.#kernel.bpf(BPF_LINK_DETACH, bytes)
    this.#descriptor.close()
  }

  [Symbol.dispose](): void {
    this.detach()
  }
}

/**
 * Attaches an XDP program to an interface of the calling thread's network namespace. Since Linux 5.9.
 * @throws CaptureError XDP_REFUSED, with what is there when the interface has another program; NO_SUCH_INTERFACE; PERMISSION
 */
export function attachXdp(kernel: Kernel, attachment: XdpAttachment): XdpLink {
  const { program, interfaceName, interfaceIndex, mode } = attachment
  const { bytes, view } = newAttributes(BPF_ATTR_LINK_CREATE.sizeof)
  view.setUint32(BPF_ATTR_LINK_CREATE.prog_fd, program.fd, true)
  view.setUint32(BPF_ATTR_LINK_CREATE.target_ifindex, interfaceIndex, true)
  view.setUint32(BPF_ATTR_LINK_CREATE.attach_type, BPF_XDP, true)
  view.setUint32(BPF_ATTR_LINK_CREATE.flags, mode === 'native' ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE, true)
  const deadline = performance.now() + (attachment.busyTimeoutMs ?? BUSY_TIMEOUT_MS)
  for (;;) {
    const fd = kernel.bpf(BPF_LINK_CREATE, bytes)
    if (fd >= 0) return new XdpLink(kernel, new Descriptor(kernel, fd), interfaceName)
    const taken = fd === -EBUSY || fd === -EEXIST
    // EINVAL is also the answer for an interface that is not there, which rtnetlink tells.
    const attached = taken || fd === -EINVAL ? programsOn(kernel, interfaceName) : []
    if (fd === -EBUSY && attached.length === 0 && performance.now() < deadline) {
      sleepThread(BUSY_PAUSE_MS)
      continue
    }
    throw refusal(kernel, interfaceName, mode, fd, taken ? attached : [])
  }
}

function programsOn(kernel: Kernel, interfaceName: string): AttachedXdp[] {
  using route = RouteSocket.open(kernel)
  return attachedXdp(route, interfaceName)
}

function refusal(kernel: Kernel, interfaceName: string, mode: XdpAttachment['mode'], errno: number, attached: readonly AttachedXdp[]): CaptureError {
  const failed = { subject: interfaceName, call: `bpf(BPF_LINK_CREATE, BPF_XDP, ${mode})`, errno, capability: CAP_BPF, code: 'XDP_REFUSED' } as const
  const [other] = attached
  if (other !== undefined) {
    const holder = findLinkHolder(other.programId)
    const name = programName(kernel, other.programId) ?? ''
    const held = holder === undefined ? '' : `, held by process ${holder.pid} (${holder.command})`
    return bpfFailed({
      ...failed,
      detail: `XDP program ${other.programId}${name === '' ? '' : ` '${name}'`} is attached (${other.mode})${held}`,
      hint:
        `bpftool prog show id ${other.programId} shows it; to take it off, ` +
        (holder === undefined
          ? `ip link set dev ${interfaceName} xdp off, or, if that is refused, end the process that holds its link (bpftool link)`
          : `end process ${holder.pid}, or bpftool link detach id ${holder.linkId}`),
    })
  }
  return bpfFailed({ ...failed, ...reason(interfaceName, mode, errno) })
}

/** What the kernel tells only its log, or netlink: bpf(2) has no room for text. */
function reason(interfaceName: string, mode: XdpAttachment['mode'], errno: number): { detail?: string; hint?: string } {
  const generic = 'generic XDP works on every interface'
  const tooLarge = 'too large for native XDP (about 3500 bytes, unless program and driver take frames in several buffers)'
  switch (Math.abs(errno)) {
    case EEXIST:
      return { hint: `a bond or bridge above ${interfaceName} has an XDP program: attach there` }
    case ERANGE:
      return { hint: `the MTU, of a veth its other end's, is ${tooLarge}: ip link set dev ${interfaceName} mtu 1500; ${generic}` }
    case ENOSPC:
      return { hint: `too few queues for native XDP: a veth needs as many receive queues as its other end has transmit queues; ${generic}` }
    case EOPNOTSUPP:
      return mode === 'native' ? { detail: `the driver of ${interfaceName} has no native XDP`, hint: generic } : {}
    case EINVAL:
      return mode === 'native'
        ? { hint: `the MTU may be ${tooLarge}, LRO be on, or the kernel older than 5.9; ${generic}` }
        : { hint: 'XDP links need Linux 5.9' }
    default:
      return {}
  }
}

function programName(kernel: Kernel, id: number): string | undefined {
  try {
    return programById(kernel, id).name
  } catch (error) {
    // Only CAP_SYS_ADMIN may look at others' programs, and this one may have gone.
    if (error instanceof CaptureError) return undefined
    throw error
  }
}

export interface LinkHolder {
  pid: number
  /** The name of the process's main thread. */
  command: string
  linkId: number
}

/**
 * A process that holds an XDP link of this program open, undefined if none is found: the link may be pinned, the process
 * another user's, the program attached without a link. Looks for a quarter of a second at most.
 */
export function findLinkHolder(programId: number, proc = '/proc'): LinkHolder | undefined {
  const deadline = performance.now() + SEARCH_MS
  for (const pid of list(proc)) {
    if (!/^\d+$/.test(pid)) continue
    for (const fd of list(`${proc}/${pid}/fd`)) {
      if (performance.now() > deadline) return undefined
      try {
        // Cheaper than to read what there is to know of each.
        if (!/^anon_inode:.*bpf[-_]link/.test(readlinkSync(`${proc}/${pid}/fd/${fd}`))) continue
        const info = new Map(
          readFileSync(`${proc}/${pid}/fdinfo/${fd}`, 'latin1')
            .split('\n')
            .map((line) => line.split(/:\s*/, 2) as [string, string]),
        )
        if (info.get('link_type') !== 'xdp' || info.get('prog_id') !== String(programId)) continue
        return { pid: Number(pid), command: readFileSync(`${proc}/${pid}/comm`, 'utf8').trim(), linkId: Number(info.get('link_id')) }
      } catch {
        // It has closed it, or ended.
      }
    }
  }
  return undefined
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
