/** bpf(2): maps of one element, programs, and running a program on live frames. */
import {
  BPF_ATTR_LINK_CREATE,
  BPF_ATTR_MAP_CREATE,
  BPF_ATTR_MAP_ELEM,
  BPF_ATTR_PROG_LOAD,
  BPF_ATTR_TEST,
  BPF_F_TEST_XDP_LIVE_FRAMES,
  BPF_LINK_CREATE,
  BPF_MAP_CREATE,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_UPDATE_ELEM,
  BPF_OBJ_NAME_LEN,
  BPF_PROG_LOAD,
  BPF_PROG_RUN,
  BPF_PROG_TYPE_XDP,
  BPF_XDP,
  XDP_FLAGS_DRV_MODE,
} from './abi/bpf.js'
import { Descriptor } from './descriptor.js'
import { callFailed, EACCES, EINVAL, EPERM } from './errno.js'
import type { Kernel } from './system.js'

const LOG_BYTES = 256 * 1024
/** Lines of the verifier's log that go into the error; the last ones say why. */
const LOG_LINES = 12

/** Makes an array map of one element of so many 64-bit words. */
export function createCell(kernel: Kernel, name: string, words: number): Descriptor {
  const attributes = new Uint8Array(new ArrayBuffer(BPF_ATTR_MAP_CREATE.sizeof))
  const view = new DataView(attributes.buffer)
  view.setUint32(BPF_ATTR_MAP_CREATE.map_type, BPF_MAP_TYPE_ARRAY, true)
  view.setUint32(BPF_ATTR_MAP_CREATE.key_size, 4, true)
  view.setUint32(BPF_ATTR_MAP_CREATE.value_size, words * 8, true)
  view.setUint32(BPF_ATTR_MAP_CREATE.max_entries, 1, true)
  setName(attributes, BPF_ATTR_MAP_CREATE.map_name, name)
  const fd = kernel.bpf(BPF_MAP_CREATE, attributes)
  if (fd < 0) throw callFailed({ subject: name, call: `bpf(BPF_MAP_CREATE, ${words * 8} bytes)`, errno: fd, capability: 'CAP_SYS_ADMIN' })
  return new Descriptor(kernel, fd)
}

/** The element of such a map: memory that a program and its readers share. Owns no descriptor. */
export class BpfCell {
  readonly #kernel: Kernel
  readonly #key = new ArrayBuffer(4)
  readonly #value: ArrayBuffer
  readonly #attributes = new Uint8Array(new ArrayBuffer(BPF_ATTR_MAP_ELEM.sizeof))
  /** As `read` found it, and what `write` writes. */
  readonly words: BigUint64Array

  constructor(kernel: Kernel, fd: number, words: number) {
    this.#kernel = kernel
    this.#value = new ArrayBuffer(words * 8)
    this.words = new BigUint64Array(this.#value)
    const element = new DataView(this.#attributes.buffer)
    element.setUint32(BPF_ATTR_MAP_ELEM.map_fd, fd, true)
    element.setBigUint64(BPF_ATTR_MAP_ELEM.key, kernel.addressOf(this.#key), true)
    element.setBigUint64(BPF_ATTR_MAP_ELEM.value, kernel.addressOf(this.#value), true)
  }

  read(): void {
    this.#access(BPF_MAP_LOOKUP_ELEM, 'BPF_MAP_LOOKUP_ELEM')
  }

  write(): void {
    this.#access(BPF_MAP_UPDATE_ELEM, 'BPF_MAP_UPDATE_ELEM')
  }

  #access(command: number, name: string): void {
    const result = this.#kernel.bpf(command, this.#attributes)
    if (result < 0) throw callFailed({ subject: 'map', call: `bpf(${name})`, errno: result })
  }
}

/**
 * Loads an XDP program.
 * @throws CaptureError with the end of the verifier's log when it refuses the program.
 */
export function loadXdpProgram(kernel: Kernel, name: string, code: Uint8Array): Descriptor {
  const instructions = new ArrayBuffer(code.length)
  new Uint8Array(instructions).set(code)
  const license = new ArrayBuffer(32)
  new TextEncoder().encodeInto('Dual MIT/GPL', new Uint8Array(license))
  const attributes = new Uint8Array(new ArrayBuffer(BPF_ATTR_PROG_LOAD.sizeof))
  const view = new DataView(attributes.buffer)
  view.setUint32(BPF_ATTR_PROG_LOAD.prog_type, BPF_PROG_TYPE_XDP, true)
  view.setUint32(BPF_ATTR_PROG_LOAD.insn_cnt, code.length / 8, true)
  view.setBigUint64(BPF_ATTR_PROG_LOAD.insns, kernel.addressOf(instructions), true)
  view.setBigUint64(BPF_ATTR_PROG_LOAD.license, kernel.addressOf(license), true)
  setName(attributes, BPF_ATTR_PROG_LOAD.prog_name, name)
  const loaded = kernel.bpf(BPF_PROG_LOAD, attributes)
  if (loaded >= 0) return new Descriptor(kernel, loaded)

  // Only a program that was refused pays for the log.
  const log = new ArrayBuffer(LOG_BYTES)
  view.setUint32(BPF_ATTR_PROG_LOAD.log_level, 1, true)
  view.setUint32(BPF_ATTR_PROG_LOAD.log_size, LOG_BYTES, true)
  view.setBigUint64(BPF_ATTR_PROG_LOAD.log_buf, kernel.addressOf(log), true)
  const again = kernel.bpf(BPF_PROG_LOAD, attributes)
  if (again >= 0) return new Descriptor(kernel, again)
  const text = verifierLog(new Uint8Array(log))
  const call = `bpf(BPF_PROG_LOAD, ${code.length / 8} instructions)${text === '' ? '' : `: ${text}`}`
  // A verifier that refuses says EACCES too: only without a log is it the caller who lacks a right.
  const denied = text === '' && (loaded === -EPERM || loaded === -EACCES)
  throw callFailed({ subject: name, call, errno: loaded, ...(denied ? { capability: 'CAP_SYS_ADMIN' } : {}) })
}

function verifierLog(log: Uint8Array): string {
  const text = new TextDecoder().decode(log.subarray(0, Math.max(0, log.indexOf(0)))).trim()
  return text.split('\n').slice(-LOG_LINES).join('\n')
}

/**
 * Attaches an XDP program to an interface of the calling thread's namespace, in its driver, for as long as the result is open.
 * Since Linux 5.9.
 */
export function linkXdp(kernel: Kernel, program: Descriptor, interfaceName: string, interfaceIndex: number): Descriptor {
  const attributes = new Uint8Array(new ArrayBuffer(BPF_ATTR_LINK_CREATE.sizeof))
  const view = new DataView(attributes.buffer)
  view.setUint32(BPF_ATTR_LINK_CREATE.prog_fd, program.fd, true)
  view.setUint32(BPF_ATTR_LINK_CREATE.target_ifindex, interfaceIndex, true)
  view.setUint32(BPF_ATTR_LINK_CREATE.attach_type, BPF_XDP, true)
  view.setUint32(BPF_ATTR_LINK_CREATE.flags, XDP_FLAGS_DRV_MODE, true)
  const fd = kernel.bpf(BPF_LINK_CREATE, attributes)
  if (fd < 0) throw callFailed({ subject: interfaceName, call: 'bpf(BPF_LINK_CREATE, BPF_XDP)', errno: fd, capability: 'CAP_SYS_ADMIN' })
  return new Descriptor(kernel, fd)
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
  const data = new ArrayBuffer(frame.length)
  new Uint8Array(data).set(frame)
  const attributes = new Uint8Array(new ArrayBuffer(BPF_ATTR_TEST.sizeof))
  const view = new DataView(attributes.buffer)
  view.setUint32(BPF_ATTR_TEST.prog_fd, programFd, true)
  view.setUint32(BPF_ATTR_TEST.data_size_in, frame.length, true)
  view.setBigUint64(BPF_ATTR_TEST.data_in, kernel.addressOf(data), true)
  view.setUint32(BPF_ATTR_TEST.flags, BPF_F_TEST_XDP_LIVE_FRAMES, true)
  view.setUint32(BPF_ATTR_TEST.batch_size, batch, true)
  return {
    run(repeat) {
      view.setUint32(BPF_ATTR_TEST.repeat, repeat, true)
      view.setUint32(BPF_ATTR_TEST.duration, 0, true)
      // Named here so that the frame lives as long as its address is in use.
      return data.byteLength === 0 ? -EINVAL : kernel.bpf(BPF_PROG_RUN, attributes)
    },
    nsPerFrame: () => view.getUint32(BPF_ATTR_TEST.duration, true),
  }
}

function setName(attributes: Uint8Array, offset: number, name: string): void {
  new TextEncoder().encodeInto(name.replaceAll(/[^A-Za-z0-9_.]/g, '_'), attributes.subarray(offset, offset + BPF_OBJ_NAME_LEN - 1))
}
