/** Socket options by shape: an int, a struct, a filter program. They answer as setsockopt(2) does: 0 or -errno. */
import { SO_ATTACH_FILTER, SO_DETACH_FILTER, SOCK_FILTER, SOCK_FPROG, SOL_SOCKET } from './abi/socket.js'
import type { Kernel } from './system.js'

export function setInt(kernel: Kernel, fd: number, level: number, option: number, value: number): number {
  return kernel.setsockopt(fd, level, option, new Uint8Array(new Uint32Array([value >>> 0]).buffer))
}

/** The value, or -errno. */
export function getInt(kernel: Kernel, fd: number, level: number, option: number): number {
  const value = new Int32Array(1)
  const result = kernel.getsockopt(fd, level, option, new Uint8Array(value.buffer))
  return result < 0 ? result : (value[0] as number)
}

/** A struct sock_fprog that points at `program`, an array of struct sock_filter in an ArrayBuffer of its own. */
export function setProgram(kernel: Kernel, fd: number, level: number, option: number, program: Uint8Array<ArrayBuffer>): number {
  const fprog = new DataView(new ArrayBuffer(SOCK_FPROG.sizeof))
  fprog.setUint16(SOCK_FPROG.len, program.byteLength / SOCK_FILTER.sizeof, true)
  fprog.setBigUint64(SOCK_FPROG.filter, kernel.addressOf(program.buffer) + BigInt(program.byteOffset), true)
  return kernel.setsockopt(fd, level, option, new Uint8Array(fprog.buffer))
}

/** Replaces the socket's filter, at once and without a gap. */
export function attachFilter(kernel: Kernel, fd: number, program: Uint8Array<ArrayBuffer>): number {
  return setProgram(kernel, fd, SOL_SOCKET, SO_ATTACH_FILTER, program)
}

export function detachFilter(kernel: Kernel, fd: number): number {
  return setInt(kernel, fd, SOL_SOCKET, SO_DETACH_FILTER, 0)
}
