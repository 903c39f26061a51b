/** Instructions of classic BPF as statements of a block. Pure. */
import {
  BPF_ABS,
  BPF_ALU,
  BPF_B,
  BPF_H,
  BPF_IMM,
  BPF_IND,
  BPF_K,
  BPF_LD,
  BPF_LDX,
  BPF_LEN,
  BPF_MEM,
  BPF_MISC,
  BPF_MSH,
  BPF_ST,
  BPF_STX,
  BPF_TAX,
  BPF_TXA,
  BPF_W,
  BPF_X,
} from '../kernel/abi/filter.js'
import type { FlowStatement } from './flow-graph.js'

export type LoadSize = 1 | 2 | 4

const SIZES: Record<LoadSize, number> = { 1: BPF_B, 2: BPF_H, 4: BPF_W }

function statement(code: number, k = 0): FlowStatement {
  return { code, k: k >>> 0 }
}

/** A = the bytes at `offset`. */
export const loadAbsolute = (offset: number, size: LoadSize) => statement(BPF_LD | BPF_ABS | SIZES[size], offset)
/** A = the bytes at X + `offset`. */
export const loadIndirect = (offset: number, size: LoadSize) => statement(BPF_LD | BPF_IND | SIZES[size], offset)
/** A = `value`. */
export const loadImmediate = (value: number) => statement(BPF_LD | BPF_IMM, value)
/** A = the length of the packet on the wire. */
export const loadLength = () => statement(BPF_LD | BPF_LEN | BPF_W)
export const loadMemory = (register: number) => statement(BPF_LD | BPF_MEM, register)
export const store = (register: number) => statement(BPF_ST, register)
export const storeX = (register: number) => statement(BPF_STX, register)
export const loadXMemory = (register: number) => statement(BPF_LDX | BPF_MEM, register)
export const loadXImmediate = (value: number) => statement(BPF_LDX | BPF_IMM, value)
/** X = 4 * (the byte at `offset` & 0xf): the length of an IPv4 header. */
export const loadXHeaderLength = (offset: number) => statement(BPF_LDX | BPF_B | BPF_MSH, offset)
/** A = A `operation` `value`. */
export const compute = (operation: number, value: number) => statement(BPF_ALU | operation | BPF_K, value)
/** A = A `operation` X. */
export const computeX = (operation: number) => statement(BPF_ALU | operation | BPF_X)
export const xFromA = () => statement(BPF_MISC | BPF_TAX)
export const aFromX = () => statement(BPF_MISC | BPF_TXA)
