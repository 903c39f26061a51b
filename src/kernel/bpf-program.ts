/** eBPF programs: loaded, looked at, and run without an interface. */
import { uptime } from 'node:os'
import {
  BPF_ATTR_GET_ID,
  BPF_ATTR_INFO,
  BPF_ATTR_PROG_LOAD,
  BPF_ATTR_TEST,
  BPF_F_TEST_XDP_LIVE_FRAMES,
  BPF_OBJ_GET_INFO_BY_FD,
  BPF_OBJ_NAME_LEN,
  BPF_PROG_GET_FD_BY_ID,
  BPF_PROG_INFO,
  BPF_PROG_LOAD,
  BPF_PROG_RUN,
  BPF_PROG_TYPE_SOCKET_FILTER,
  BPF_PROG_TYPE_XDP,
} from './abi/bpf.js'
import { bpfFailed, newAttributes, setPointer, writeName } from './bpf-call.js'
import { Descriptor } from './descriptor.js'
import { CAP_BPF, EACCES, EAGAIN, EINTR, EINVAL, EPERM } from './errno.js'
import type { Kernel } from './system.js'
import { describeVerifierLog } from './verifier-log.js'

const PROGRAM_TYPES = { xdp: BPF_PROG_TYPE_XDP, socket_filter: BPF_PROG_TYPE_SOCKET_FILTER } as const
export type ProgramType = keyof typeof PROGRAM_TYPES

const LOG_BYTES = 1 << 20
/** A signal interrupts the verifier. */
const LOAD_ATTEMPTS = 5

export interface ProgramOptions {
  /** As `bpftool prog` shows it, cut to 15 bytes; by convention it begins with `ringtap_`. */
  name: string
  type: ProgramType
  /** What `assemble` made. */
  code: Uint8Array
  /** BPF_F_XDP_HAS_FRAGS and others. Default 0. */
  flags?: number | undefined
  /** A BPF_* attach type, where the verifier needs to know. Default 0. */
  expectedAttachType?: number | undefined
  /** The only interface that the program is for, as BPF_F_XDP_DEV_BOUND_ONLY asks. Default: any. */
  interfaceIndex?: number | undefined
}

/**
 * Loads a program; it lives as long as a descriptor of it, a link or a socket that it is attached to.
 * @throws CaptureError PERMISSION; SYSTEM_CALL_FAILED with the verifier's complaint when it refuses the program.
 */
export function loadProgram(kernel: Kernel, options: ProgramOptions): Descriptor {
  const { name, type, code, flags = 0 } = options
  const instructions = new Uint8Array(new ArrayBuffer(code.length))
  instructions.set(code)
  const license = new Uint8Array(new ArrayBuffer(32))
  new TextEncoder().encodeInto('Dual MIT/GPL', license)
  const attributes = newAttributes(BPF_ATTR_PROG_LOAD.sizeof)
  const { bytes, view } = attributes
  view.setUint32(BPF_ATTR_PROG_LOAD.prog_type, PROGRAM_TYPES[type], true)
  view.setUint32(BPF_ATTR_PROG_LOAD.insn_cnt, code.length / 8, true)
  setPointer(kernel, attributes, BPF_ATTR_PROG_LOAD.insns, instructions)
  setPointer(kernel, attributes, BPF_ATTR_PROG_LOAD.license, license)
  view.setUint32(BPF_ATTR_PROG_LOAD.prog_flags, flags, true)
  view.setUint32(BPF_ATTR_PROG_LOAD.prog_ifindex, options.interfaceIndex ?? 0, true)
  view.setUint32(BPF_ATTR_PROG_LOAD.expected_attach_type, options.expectedAttachType ?? 0, true)
  writeName(bytes, BPF_ATTR_PROG_LOAD.prog_name, name)
  let loaded = -EAGAIN
  for (let attempt = 0; loaded === -EAGAIN && attempt < LOAD_ATTEMPTS; attempt++) loaded = kernel.bpf(BPF_PROG_LOAD, bytes)
  if (loaded >= 0) return new Descriptor(kernel, loaded)

  // Only a program that was refused pays for the log.
  const log = new Uint8Array(new ArrayBuffer(LOG_BYTES))
  view.setUint32(BPF_ATTR_PROG_LOAD.log_level, 1, true)
  view.setUint32(BPF_ATTR_PROG_LOAD.log_size, LOG_BYTES, true)
  setPointer(kernel, attributes, BPF_ATTR_PROG_LOAD.log_buf, log)
  const again = kernel.bpf(BPF_PROG_LOAD, bytes)
  if (again >= 0) return new Descriptor(kernel, again)
  const end = log.indexOf(0)
  const detail = describeVerifierLog(new TextDecoder().decode(log.subarray(0, end < 0 ? log.length : end)))
  const call = `bpf(BPF_PROG_LOAD, ${type}, ${code.length / 8} instructions${flags === 0 ? '' : `, flags 0x${flags.toString(16)}`})`
  // A verifier that refuses says EACCES too: only without a log is it the caller who lacks a right.
  if (detail !== undefined) throw bpfFailed({ subject: name, call, errno: loaded, detail })
  const hint = loaded === -EINVAL ? { hint: 'the kernel may be too old for the flags: BPF_F_XDP_HAS_FRAGS (0x20) needs Linux 5.18' } : {}
  throw bpfFailed({ subject: name, call, errno: loaded, capability: CAP_BPF, ...hint })
}

export interface ProgramRun {
  /** What the program answered in its last run. */
  retval: number
  /** Mean time of a run. */
  durationNs: number
  /** The packet as the program left it, beginning where the program moved its beginning to. */
  dataOut: Uint8Array<ArrayBuffer>
}

export interface ProgramRunOptions {
  /** The packet, Ethernet header first, at least 14 bytes. A socket program sees what follows the header. */
  data: Uint8Array
  /** How often; every run begins with what the last one left. Default 1. */
  repeat?: number | undefined
  /** struct xdp_md or struct __sk_buff that the program is to find. Default: the kernel's own, queue 0 of the namespace's loopback. */
  context?: Uint8Array | undefined
}

/** A signal ends repeated runs half way. */
const RUN_ATTEMPTS = 5

/** Room for what a program may put before the packet: XDP_PACKET_HEADROOM. */
const HEADROOM = 256

/**
 * Runs a program on a packet that comes from nowhere and goes nowhere: XDP_TX and XDP_REDIRECT are only answers.
 * Since Linux 4.12, with `context` for XDP since 5.14.
 *
 * NB: repeated runs that a signal ends are begun anew: what the program counted until then it counts again.
 */
export function runProgram(kernel: Kernel, programFd: number, options: ProgramRunOptions): ProgramRun {
  const repeat = options.repeat ?? 1
  const data = new Uint8Array(new ArrayBuffer(options.data.length))
  data.set(options.data)
  const dataOut = new Uint8Array(new ArrayBuffer(options.data.length + HEADROOM))
  const context = new Uint8Array(new ArrayBuffer(options.context?.length ?? 0))
  if (options.context !== undefined) context.set(options.context)
  const attributes = newAttributes(BPF_ATTR_TEST.sizeof)
  const { bytes, view } = attributes
  view.setUint32(BPF_ATTR_TEST.prog_fd, programFd, true)
  view.setUint32(BPF_ATTR_TEST.repeat, repeat, true)
  view.setUint32(BPF_ATTR_TEST.data_size_in, data.length, true)
  setPointer(kernel, attributes, BPF_ATTR_TEST.data_in, data)
  view.setUint32(BPF_ATTR_TEST.data_size_out, dataOut.length, true)
  setPointer(kernel, attributes, BPF_ATTR_TEST.data_out, dataOut)
  if (context.length > 0) {
    view.setUint32(BPF_ATTR_TEST.ctx_size_in, context.length, true)
    setPointer(kernel, attributes, BPF_ATTR_TEST.ctx_in, context)
  }
  let result = -EINTR
  for (let attempt = 0; result === -EINTR && attempt < RUN_ATTEMPTS; attempt++) result = kernel.bpf(BPF_PROG_RUN, bytes)
  if (result < 0) {
    throw bpfFailed({ subject: 'program', call: `bpf(BPF_PROG_RUN, ${data.length} bytes, repeat ${repeat})`, errno: result, capability: CAP_BPF })
  }
  return {
    retval: view.getUint32(BPF_ATTR_TEST.retval, true),
    durationNs: view.getUint32(BPF_ATTR_TEST.duration, true),
    dataOut: dataOut.subarray(0, view.getUint32(BPF_ATTR_TEST.data_size_out, true)),
  }
}

export interface LiveFrames {
  /** Makes so many frames; answers 0 or -errno. */
  run(repeat: number): number
  /** What a frame took in the last run, without the waits before, between and after batches; 0 if that failed. */
  nsPerFrame(): number
}

/**
 * An XDP program on frames that really travel, made from `frame`. They are recycled with the contents that the last run left,
 * so the program must write all that varies. Batches of up to 256 frames run with softirqs off. Since Linux 5.18; before, EINVAL.
 *
 * NB: an error may come after part of the runs; only the program itself can count them.
 * NB: a run of more than one frame enters the program into the kernel's XDP dispatcher and takes it out again. Unless it is
 * there already, being attached to some interface, that patches code and waits for RCU twice: about 50 ms. The lock around it
 * is the machine's one, so whoever does that holds up all others.
 */
export function liveFrames(kernel: Kernel, programFd: number, frame: Uint8Array, batch: number): LiveFrames {
  const data = new Uint8Array(new ArrayBuffer(frame.length))
  data.set(frame)
  const attributes = newAttributes(BPF_ATTR_TEST.sizeof)
  const { bytes, view } = attributes
  view.setUint32(BPF_ATTR_TEST.prog_fd, programFd, true)
  view.setUint32(BPF_ATTR_TEST.data_size_in, frame.length, true)
  setPointer(kernel, attributes, BPF_ATTR_TEST.data_in, data)
  view.setUint32(BPF_ATTR_TEST.flags, BPF_F_TEST_XDP_LIVE_FRAMES, true)
  view.setUint32(BPF_ATTR_TEST.batch_size, batch, true)
  return {
    run(repeat) {
      view.setUint32(BPF_ATTR_TEST.repeat, repeat, true)
      view.setUint32(BPF_ATTR_TEST.duration, 0, true)
      return kernel.bpf(BPF_PROG_RUN, bytes)
    },
    nsPerFrame: () => view.getUint32(BPF_ATTR_TEST.duration, true),
  }
}

export interface ProgramInfo {
  /** The machine's number for it, as bpftool shows it. */
  id: number
  /** `xdp`, `socket_filter`, or `type N` for others. */
  type: string
  name: string
  /** A checksum of the code, in hexadecimal. */
  tag: string
  /** The maps that it uses, by their ids. */
  mapIds: number[]
  /** When it was loaded, to about a second. */
  loadedAt: Date
}

/** Maps that room is made for at first. */
const MAP_IDS = 16

/** What the kernel knows of a loaded program. Since Linux 4.15. */
export function programInfo(kernel: Kernel, programFd: number): ProgramInfo {
  for (let room = MAP_IDS; ; ) {
    const ids = new Uint8Array(new ArrayBuffer(room * 4))
    const info = newAttributes(BPF_PROG_INFO.sizeof)
    info.view.setUint32(BPF_PROG_INFO.nr_map_ids, room, true)
    setPointer(kernel, info, BPF_PROG_INFO.map_ids, ids)
    const attributes = newAttributes(BPF_ATTR_INFO.sizeof)
    attributes.view.setUint32(BPF_ATTR_INFO.bpf_fd, programFd, true)
    attributes.view.setUint32(BPF_ATTR_INFO.info_len, info.bytes.length, true)
    setPointer(kernel, attributes, BPF_ATTR_INFO.info, info.bytes)
    const result = kernel.bpf(BPF_OBJ_GET_INFO_BY_FD, attributes.bytes)
    if (result < 0) throw bpfFailed({ subject: 'program', call: 'bpf(BPF_OBJ_GET_INFO_BY_FD)', errno: result, capability: CAP_BPF })
    const maps = info.view.getUint32(BPF_PROG_INFO.nr_map_ids, true)
    if (maps > room) {
      room = maps
      continue
    }
    const type = info.view.getUint32(BPF_PROG_INFO.type, true)
    const name = info.bytes.subarray(BPF_PROG_INFO.name, BPF_PROG_INFO.name + BPF_OBJ_NAME_LEN)
    const sinceBootMs = Number(info.view.getBigUint64(BPF_PROG_INFO.load_time, true)) / 1e6
    return {
      id: info.view.getUint32(BPF_PROG_INFO.id, true),
      type: Object.entries(PROGRAM_TYPES).find(([, number]) => number === type)?.[0] ?? `type ${type}`,
      name: new TextDecoder().decode(name).replace(/\0.*$/, ''),
      tag: Buffer.from(info.bytes.subarray(BPF_PROG_INFO.tag, BPF_PROG_INFO.tag + 8)).toString('hex'),
      mapIds: [...new Uint32Array(ids.buffer, 0, maps)],
      loadedAt: new Date(Date.now() - uptime() * 1000 + sinceBootMs),
    }
  }
}

/**
 * The same of any program of the machine, by its id.
 * @throws CaptureError PERMISSION without CAP_SYS_ADMIN; ENOENT when there is none of this id.
 */
export function programById(kernel: Kernel, id: number): ProgramInfo {
  const { bytes, view } = newAttributes(BPF_ATTR_GET_ID.sizeof)
  view.setUint32(BPF_ATTR_GET_ID.prog_id, id, true)
  const fd = kernel.bpf(BPF_PROG_GET_FD_BY_ID, bytes)
  if (fd === -EPERM || fd === -EACCES) throw bpfFailed({ subject: `program ${id}`, call: 'bpf(BPF_PROG_GET_FD_BY_ID)', errno: fd, capability: 'CAP_SYS_ADMIN' })
  if (fd < 0) throw bpfFailed({ subject: `program ${id}`, call: 'bpf(BPF_PROG_GET_FD_BY_ID)', errno: fd })
  using program = new Descriptor(kernel, fd)
  return programInfo(kernel, program.fd)
}
