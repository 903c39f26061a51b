/** Memory handed to an AF_XDP socket, with nothing else around it. */
import { XDP_UMEM_REG, XDP_UMEM_REG_V2 } from '#src/kernel/abi/if_xdp.js'
import { AF_XDP, SOCK_CLOEXEC, SOCK_RAW, SOL_XDP } from '#src/kernel/abi/socket.js'
import { Descriptor } from '#src/kernel/descriptor.js'
import { type SharedMemory, withTemporaryMapping } from '#src/kernel/shared-memory.js'
import type { Kernel } from '#src/kernel/system.js'

/** Registers all of it with a new socket, which pins it; `result` is what setsockopt(2) answers. */
export function registerUmem(kernel: Kernel, memory: SharedMemory): { result: number; socket: Descriptor } {
  const socket = new Descriptor(kernel, kernel.socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0))
  const request = new DataView(new ArrayBuffer(XDP_UMEM_REG_V2.sizeof))
  const result = withTemporaryMapping(kernel, memory.descriptor.fd, memory.bytes, (address) => {
    request.setBigUint64(XDP_UMEM_REG_V2.addr, address, true)
    request.setBigUint64(XDP_UMEM_REG_V2.len, BigInt(memory.bytes), true)
    request.setUint32(XDP_UMEM_REG_V2.chunk_size, 2048, true)
    return kernel.setsockopt(socket.fd, SOL_XDP, XDP_UMEM_REG, new Uint8Array(request.buffer))
  })
  return { result, socket }
}
