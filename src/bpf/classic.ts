/** Classic BPF programs as rows, what the kernel demands of them, and their bytes for SO_ATTACH_FILTER. The filter language builds on this. Pure. */
import { CaptureError } from '../errors.js'
import {
  BPF_A,
  BPF_ABS,
  BPF_ADD,
  BPF_ALU,
  BPF_AND,
  BPF_B,
  BPF_DIV,
  BPF_H,
  BPF_IMM,
  BPF_IND,
  BPF_JA,
  BPF_JEQ,
  BPF_JGE,
  BPF_JGT,
  BPF_JMP,
  BPF_JSET,
  BPF_K,
  BPF_LD,
  BPF_LDX,
  BPF_LEN,
  BPF_LSH,
  BPF_MAXINSNS,
  BPF_MEM,
  BPF_MEMWORDS,
  BPF_MISC,
  BPF_MOD,
  BPF_MSH,
  BPF_MUL,
  BPF_NEG,
  BPF_OR,
  BPF_RET,
  BPF_RSH,
  BPF_ST,
  BPF_STX,
  BPF_SUB,
  BPF_TAX,
  BPF_TXA,
  BPF_W,
  BPF_X,
  BPF_XOR,
  SKF_AD_OFF,
  SKF_AD_VLAN_TPID,
} from '../kernel/abi/filter.js'
import { SOCK_FILTER } from '../kernel/abi/socket.js'

/** One instruction: code, jump if true, jump if false, operand; the numbers that `tcpdump -ddd` prints. */
export type Instruction = readonly [code: number, jt: number, jf: number, k: number]

/** Takes nothing: the closed gate of a socket that is being opened or closed. */
export const REJECT_ALL: readonly Instruction[] = [[BPF_RET | BPF_K, 0, 0, 0]]

const OPERAND_SOURCES = [BPF_K, BPF_X]
const CODES: ReadonlySet<number> = new Set([
  ...[BPF_W, BPF_H, BPF_B].flatMap((size) => [BPF_LD | size | BPF_ABS, BPF_LD | size | BPF_IND]),
  ...[BPF_W | BPF_LEN, BPF_IMM, BPF_MEM].flatMap((mode) => [BPF_LD | mode, BPF_LDX | mode]),
  BPF_LDX | BPF_B | BPF_MSH,
  BPF_ST,
  BPF_STX,
  ...[BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_MOD, BPF_AND, BPF_OR, BPF_XOR, BPF_LSH, BPF_RSH].flatMap((operation) =>
    OPERAND_SOURCES.map((source) => BPF_ALU | operation | source),
  ),
  BPF_ALU | BPF_NEG,
  BPF_JMP | BPF_JA,
  ...[BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET].flatMap((condition) => OPERAND_SOURCES.map((source) => BPF_JMP | condition | source)),
  BPF_RET | BPF_K,
  BPF_RET | BPF_A,
  BPF_MISC | BPF_TAX,
  BPF_MISC | BPF_TXA,
])

/** Loads by absolute offset from here on are ancillary. */
const FIRST_ANCILLARY = SKF_AD_OFF >>> 0
const LAST_ANCILLARY = (SKF_AD_OFF + SKF_AD_VLAN_TPID) >>> 0

/**
 * What bpf_check_classic() of net/core/filter.c demands, which is all that libpcap's bpf_validate() does and more: known codes,
 * jumps forward and inside, no constant that divides by 0 or shifts by more than 31, memory words 0 to 15, none of them read
 * that was not written on every way there, known ancillary loads, a return at the end.
 * @throws CaptureError INVALID_OPTION that says which instruction and why.
 */
export function validateProgram(program: readonly Instruction[]): void {
  checkLength(program)
  const { length } = program
  for (const [index, instruction] of program.entries()) {
    const problem = problemOf(instruction, length - index - 1)
    if (problem !== undefined) throw invalid(index, instruction, problem)
  }
  const last = program[length - 1] as Instruction
  if ((last[0] & 0x07) !== BPF_RET) throw invalid(length - 1, last, 'the last instruction must return')
  checkMemory(program)
}

/** What is wrong with an instruction that so many others follow. */
function problemOf([code, jt, jf, k]: Instruction, following: number): string | undefined {
  if (!fits([code, jt, jf, k])) return NO_SOCK_FILTER
  if (!CODES.has(code)) return `there is no code 0x${code.toString(16)}`
  const group = code & 0x07
  const operation = code & 0xf0
  if (group === BPF_ALU && (code & BPF_X) === 0) {
    if ((operation === BPF_DIV || operation === BPF_MOD) && k === 0) return 'divides by 0'
    if ((operation === BPF_LSH || operation === BPF_RSH) && k >= 32) return `shifts by ${k}, more than 31`
  }
  if (memoryWord([code, jt, jf, k]) && k >= BPF_MEMWORDS) return `there is no memory word ${k}, only 0 to ${BPF_MEMWORDS - 1}`
  if (group === BPF_JMP) {
    const farthest = operation === BPF_JA ? k : Math.max(jt, jf)
    if (farthest >= following) return `jumps over ${farthest} instructions where ${following} follow`
  }
  if (group === BPF_LD && (code & 0xe0) === BPF_ABS && k >= FIRST_ANCILLARY && (k > LAST_ANCILLARY || k % 4 !== 0)) {
    return `there is no ancillary load ${k - FIRST_ANCILLARY}`
  }
  return undefined
}

/** Whether k is a memory word. */
function memoryWord([code]: Instruction): boolean {
  return code === BPF_ST || code === BPF_STX || code === (BPF_LD | BPF_MEM) || code === (BPF_LDX | BPF_MEM)
}

/** As check_load_and_stores() does it: what comes after a return is taken to be reached from there, too. */
function checkMemory(program: readonly Instruction[]): void {
  const onArrival = new Uint16Array(program.length).fill(0xffff)
  let written = 0
  const arrive = (at: number) => {
    onArrival[at] = (onArrival[at] as number) & written
  }
  for (const [index, instruction] of program.entries()) {
    const [code, jt, jf, k] = instruction
    written &= onArrival[index] as number
    if (code === BPF_ST || code === BPF_STX) written |= 1 << k
    else if (memoryWord(instruction)) {
      if ((written & (1 << k)) === 0) throw invalid(index, instruction, `reads memory word ${k}, which is not written on every way here`)
    } else if ((code & 0x07) === BPF_JMP) {
      if (code === (BPF_JMP | BPF_JA)) arrive(index + 1 + k)
      else for (const distance of [jt, jf]) arrive(index + 1 + distance)
      written = 0xffff
    }
  }
}

/**
 * An array of struct sock_filter.
 * @throws CaptureError INVALID_OPTION for a program that is empty, longer than BPF_MAXINSNS, or has numbers out of range.
 */
export function encodeProgram(program: readonly Instruction[]): Uint8Array<ArrayBuffer> {
  checkLength(program)
  const bytes = new Uint8Array(new ArrayBuffer(program.length * SOCK_FILTER.sizeof))
  const view = new DataView(bytes.buffer)
  for (const [index, instruction] of program.entries()) {
    if (!fits(instruction)) throw invalid(index, instruction, NO_SOCK_FILTER)
    const [code, jt, jf, k] = instruction
    const at = index * SOCK_FILTER.sizeof
    view.setUint16(at + SOCK_FILTER.code, code, true)
    view.setUint8(at + SOCK_FILTER.jt, jt)
    view.setUint8(at + SOCK_FILTER.jf, jf)
    view.setUint32(at + SOCK_FILTER.k, k, true)
  }
  return bytes
}

const NO_SOCK_FILTER = 'does not fit struct sock_filter (u16, u8, u8, u32)'

function fits([code, jt, jf, k]: Instruction): boolean {
  return inRange(code, 0xffff) && inRange(jt, 0xff) && inRange(jf, 0xff) && inRange(k, 0xffff_ffff)
}

function inRange(value: number, max: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= max
}

function checkLength(program: readonly Instruction[]): void {
  if (program.length > 0 && program.length <= BPF_MAXINSNS) return
  throw new CaptureError('INVALID_OPTION', `Expected a BPF program of 1 to ${BPF_MAXINSNS} instructions, got ${program.length}`)
}

function invalid(index: number, instruction: Instruction, problem: string): CaptureError {
  return new CaptureError('INVALID_OPTION', `BPF instruction ${index}: [${instruction.join(', ')}] ${problem}`)
}
