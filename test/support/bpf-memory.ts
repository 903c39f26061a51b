/** The memory that pointers of a `union bpf_attr` lead to, for a kernel that is not there. */
import type { FakeKernel } from './fake-kernel.js'

export interface BpfMemory {
  /** From where the pointer at byte `offset` of `attributes` leads to the end of its buffer; undefined for a null pointer. */
  at(attributes: Uint8Array, offset: number): Uint8Array | undefined
}

/** Gives every buffer of the fake kernel an address of its own. */
export function bpfMemory(kernel: FakeKernel): BpfMemory {
  const buffers = new Map<bigint, ArrayBuffer>()
  let next = 0x10_0000n
  kernel.answer('addressOf', (buffer) => {
    for (const [address, known] of buffers) if (known === buffer) return address
    const address = next
    buffers.set(address, buffer)
    next += BigInt(buffer.byteLength + 0x1000) & ~0xfffn
    next += 0x1000n
    return address
  })
  return {
    at(attributes, offset) {
      const pointer = new DataView(attributes.buffer, attributes.byteOffset).getBigUint64(offset, true)
      if (pointer === 0n) return undefined
      for (const [address, buffer] of buffers) {
        if (pointer >= address && pointer < address + BigInt(buffer.byteLength)) return new Uint8Array(buffer, Number(pointer - address))
      }
      throw new Error(`a pointer to nowhere, 0x${pointer.toString(16)}`)
    },
  }
}
