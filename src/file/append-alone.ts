import { SEEK_SET } from '../kernel/abi/process.js'
import { EINTR, EIO } from '../kernel/errno.js'
import type { Kernel } from '../kernel/system.js'

/** Writes to the end of a regular file that nobody else writes, all or nothing; 0 or -errno. */
export function appendAlone(kernel: Kernel, fd: number, length: number, bytes: Uint8Array): number {
  let written = 0
  while (written < bytes.byteLength) {
    const result = kernel.write(fd, bytes.subarray(written))
    if (result > 0) written += result
    else if (result !== -EINTR) {
      kernel.ftruncate(fd, length)
      kernel.lseek(fd, length, SEEK_SET)
      return result === 0 ? -EIO : result
    }
  }
  return 0
}
