/**
 * The kernel, but that programs which ask the driver for time stamps get those that the frames themselves name: no driver of a
 * testbed stamps anything. The call of the kernel's function becomes one of a function behind the program; all else is as it was.
 */
import assert from 'node:assert/strict'
import { alu, assemble, exit, jumpIf, label, load, loadImmediate64, store } from '#src/bpf/ebpf.js'
import { BPF_ATTR_PROG_LOAD, BPF_F_XDP_DEV_BOUND_ONLY, BPF_PROG_LOAD } from '#src/kernel/abi/bpf.js'
import { BPF_CALL, BPF_JMP, BPF_PSEUDO_KFUNC_CALL, XDP_MD } from '#src/kernel/abi/ebpf.js'
import { newAttributes, setPointer } from '#src/kernel/bpf-call.js'
import { kernelFunctions } from '#src/kernel/btf.js'
import { type Kernel, openKernel } from '#src/kernel/system.js'

const BPF_PSEUDO_CALL = 1
const ENODATA = 61
/** Where a frame names its time stamp, 64 bits, little-endian. */
const STAMP_AT = 18
/** The driver has none for this one. */
export const NO_STAMP = 2n ** 64n - 1n

/** The frame that the NIC stamps so; 0 is what drivers say of one that it did not. */
export function stampedBy(frame: Uint8Array, timestamp: bigint): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(frame)
  new DataView(bytes.buffer).setBigUint64(STAMP_AT, timestamp, true)
  return bytes
}

const STAMP = assemble([
  load('w', 'r3', 'r1', XDP_MD.data),
  load('w', 'r4', 'r1', XDP_MD.data_end),
  alu('mov', 'r5', 'r3'),
  alu('add', 'r5', STAMP_AT + 8),
  jumpIf('gt', 'r5', 'r4', 'none'),
  load('dw', 'r3', 'r3', STAMP_AT),
  loadImmediate64('r4', NO_STAMP),
  jumpIf('eq', 'r3', 'r4', 'none'),
  store('dw', 'r2', 0, 'r3'),
  alu('mov', 'r0', 0),
  exit(),
  label('none'),
  alu('mov', 'r0', -ENODATA),
  exit(),
])

export function stampingKernel(): Kernel {
  const kernel = openKernel()
  const [timestamp] = kernelFunctions(['bpf_xdp_metadata_rx_timestamp']).values()
  return {
    ...kernel,
    bpf(command, attributes) {
      const view = new DataView(attributes.buffer, attributes.byteOffset)
      if (command !== BPF_PROG_LOAD || (view.getUint32(BPF_ATTR_PROG_LOAD.prog_flags, true) & BPF_F_XDP_DEV_BOUND_ONLY) === 0)
        return kernel.bpf(command, attributes)
      const bytes = view.getUint32(BPF_ATTR_PROG_LOAD.insn_cnt, true) * 8
      const before = new Uint8Array(kernel.view(view.getBigUint64(BPF_ATTR_PROG_LOAD.insns, true), bytes))
      const code = new Uint8Array(bytes + STAMP.length)
      code.set(before)
      code.set(STAMP, bytes)
      const words = new DataView(code.buffer)
      let replaced = 0
      for (let at = 0; at < bytes; at += 8) {
        const isCall = code[at] === (BPF_JMP | BPF_CALL) && code[at + 1] >> 4 === BPF_PSEUDO_KFUNC_CALL
        if (!isCall || words.getInt32(at + 4, true) !== timestamp) continue
        code[at + 1] = BPF_PSEUDO_CALL << 4
        words.setInt32(at + 4, (bytes - at) / 8 - 1, true)
        replaced++
      }
      assert.equal(replaced, 1)
      const changed = newAttributes(attributes.length)
      changed.bytes.set(attributes)
      changed.view.setUint32(BPF_ATTR_PROG_LOAD.insn_cnt, code.length / 8, true)
      setPointer(kernel, changed, BPF_ATTR_PROG_LOAD.insns, code)
      return kernel.bpf(command, changed.bytes)
    },
  }
}
