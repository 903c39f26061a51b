/** What all calls of bpf(2) have in common: names of objects, addresses of buffers, and what a refusal means. */
import { release } from 'node:os'
import { CaptureError } from '../errors.js'
import { BPF_OBJ_NAME_LEN } from './abi/bpf.js'
import { callFailed, ENOMEM, EPERM, type FailedCall } from './errno.js'
import type { Kernel } from './system.js'

const MEMLOCK = 'before Linux 5.11 maps and programs count as locked memory: ulimit -l unlimited, in a systemd unit LimitMEMLOCK=infinity'

/** A `union bpf_attr`, as far as one command needs it. */
export interface Attributes {
  bytes: Uint8Array<ArrayBuffer>
  view: DataView<ArrayBuffer>
}

/** What an attribute points to lives as long as the attribute. */
const targets = new WeakMap<Uint8Array, Map<number, Uint8Array>>()

/** All zeros. */
export function newAttributes(sizeof: number): Attributes {
  const buffer = new ArrayBuffer(sizeof)
  const bytes = new Uint8Array(buffer)
  targets.set(bytes, new Map())
  return { bytes, view: new DataView(buffer) }
}

/** Lets the field at `offset` point to `target`. */
export function setPointer(kernel: Kernel, attributes: Attributes, offset: number, target: Uint8Array<ArrayBuffer>): void {
  targets.get(attributes.bytes)?.set(offset, target)
  attributes.view.setBigUint64(offset, kernel.addressOf(target.buffer) + BigInt(target.byteOffset), true)
}

/** Writes a name as the kernel takes it: letters, digits, `_` and `.`, cut to 15 bytes. */
export function writeName(attributes: Uint8Array, offset: number, name: string): void {
  new TextEncoder().encodeInto(name.replaceAll(/[^A-Za-z0-9_.]/g, '_'), attributes.subarray(offset, offset + BPF_OBJ_NAME_LEN - 1))
}

/** The error for a call that failed; where the limit on locked memory may be the reason, its hint says so. */
export function bpfFailed(failed: FailedCall, kernelRelease = release()): CaptureError {
  const error = callFailed(failed)
  if ((error.errno !== EPERM && error.errno !== ENOMEM) || !isOlder(kernelRelease, 5, 11)) return error
  const { code, message, syscall, errno, errnoName, hint } = error
  return new CaptureError(code, message, { syscall, errno, errnoName, hint: hint === undefined ? MEMLOCK : `${hint}; ${MEMLOCK}` })
}

function isOlder(kernelRelease: string, major: number, minor: number): boolean {
  const [ours = 0, theirs = 0] = kernelRelease.split('.').map((part) => Number.parseInt(part, 10))
  return ours < major || (ours === major && theirs < minor)
}
