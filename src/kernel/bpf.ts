/** bpf(2): maps of one element, programs, and running a program on live frames. */
import {
  BPF_ATTR_MAP_CREATE,
  BPF_ATTR_MAP_ELEM,
  BPF_ATTR_PROG_LOAD,
  BPF_ATTR_TEST,
  BPF_F_TEST_XDP_LIVE_FRAMES,
  BPF_MAP_CREATE,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_UPDATE_ELEM,
  BPF_OBJ_NAME_LEN,
  BPF_PROG_LOAD,
  BPF_PROG_RUN,
  BPF_PROG_TYPE_XDP,
} from './abi/bpf.js'
import { Descriptor } from './descriptor.js'
import { callFailed, EACCES, EINVAL, EPERM } from './errno.js'
import type { Kernel } from './system.js'

const LOG_BYTES = 256 * 1024
/** Lines of the verifier's log that go into the error; the last ones say why. */
const LOG_LINES = 12

/** An array map of one element: memory that a program and a reader share. */
export class BpfCell implements Disposable {
  readonly #kernel: Kernel
  readonly #descriptor: Descriptor
  readonly #key = new ArrayBuffer(4)
  readonly #value: ArrayBuffer
  readonly #attributes = new Uint8Array(new ArrayBuffer(BPF_ATTR_MAP_ELEM.sizeof))
  /** The element, as `read` found it and as `write` leaves it. */
  readonly words: BigUint64Array

  /** @throws CaptureError PERMISSION without CAP_BPF */
  constructor(kernel: Kernel, name: string, words: number) {
    const attributes = new Uint8Array(BPF_ATTR_MAP_CREATE.sizeof)
    const view = new DataView(attributes.buffer)
    view.setUint32(BPF_ATTR_MAP_CREATE.map_type, BPF_MAP_TYPE_ARRAY, true)
    view.setUint32(BPF_ATTR_MAP_CREATE.key_size, 4, true)
    view.setUint32(BPF_ATTR_MAP_CREATE.value_size, words * 8, true)
    view.setUint32(BPF_ATTR_MAP_CREATE.max_entries, 1, true)
    setName(attributes, BPF_ATTR_MAP_CREATE.map_name, name)
    const fd = kernel.bpf(BPF_MAP_CREATE, attributes)
    if (fd < 0) throw callFailed({ subject: name, call: `bpf(BPF_MAP_CREATE, ${words * 8} bytes)`, errno: fd, capability: 'CAP_SYS_ADMIN' })
    this.#kernel = kernel
    this.#descriptor = new Descriptor(kernel, fd)
    this.#value = new ArrayBuffer(words * 8)
    this.words = new BigUint64Array(this.#value)
    const element = new DataView(this.#attributes.buffer)
    element.setUint32(BPF_ATTR_MAP_ELEM.map_fd, fd, true)
    element.setBigUint64(BPF_ATTR_MAP_ELEM.key, kernel.addressOf(this.#key), true)
    element.setBigUint64(BPF_ATTR_MAP_ELEM.value, kernel.addressOf(this.#value), true)
  }

  get fd(): number {
    return this.#descriptor.fd
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

  close(): void {
    this.#descriptor.close()
  }

  [Symbol.dispose](): void {
    this.close()
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
 * Runs an XDP program on frames that really travel: each call of the result makes `repeat` of them from `frame` and answers 0
 * or -errno. The frames are recycled with the contents that the last run left, so the program must write all that varies.
 * NB: an error may come after part of the runs; only the program itself can count them. Batches of up to 256 frames run with
 * softirqs off. Since Linux 5.18; before, the flag is EINVAL.
 */
export function liveFrames(kernel: Kernel, program: Descriptor, frame: Uint8Array, batch: number): (repeat: number) => number {
  const data = new ArrayBuffer(frame.length)
  new Uint8Array(data).set(frame)
  const attributes = new Uint8Array(new ArrayBuffer(BPF_ATTR_TEST.sizeof))
  const view = new DataView(attributes.buffer)
  view.setUint32(BPF_ATTR_TEST.prog_fd, program.fd, true)
  view.setUint32(BPF_ATTR_TEST.data_size_in, frame.length, true)
  view.setBigUint64(BPF_ATTR_TEST.data_in, kernel.addressOf(data), true)
  view.setUint32(BPF_ATTR_TEST.flags, BPF_F_TEST_XDP_LIVE_FRAMES, true)
  view.setUint32(BPF_ATTR_TEST.batch_size, batch, true)
  return (repeat) => {
    view.setUint32(BPF_ATTR_TEST.repeat, repeat, true)
    // Named here so that the frame lives as long as its address is in use.
    if (data.byteLength === 0) return -EINVAL
    return kernel.bpf(BPF_PROG_RUN, attributes)
  }
}

function setName(attributes: Uint8Array, offset: number, name: string): void {
  new TextEncoder().encodeInto(name.replaceAll(/[^A-Za-z0-9_.]/g, '_'), attributes.subarray(offset, offset + BPF_OBJ_NAME_LEN - 1))
}
