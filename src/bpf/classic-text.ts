/** Classic BPF programs as text: what `tcpdump -d`, `-dd` and `-ddd` print, letter by letter, and `-ddd` read back. Pure. */
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
  BPF_MEM,
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
  SKF_AD_ALU_XOR_X,
  SKF_AD_CPU,
  SKF_AD_HATYPE,
  SKF_AD_IFINDEX,
  SKF_AD_MARK,
  SKF_AD_NLATTR,
  SKF_AD_NLATTR_NEST,
  SKF_AD_OFF,
  SKF_AD_PAY_OFFSET,
  SKF_AD_PKTTYPE,
  SKF_AD_PROTOCOL,
  SKF_AD_QUEUE,
  SKF_AD_RANDOM,
  SKF_AD_RXHASH,
  SKF_AD_VLAN_TAG,
  SKF_AD_VLAN_TAG_PRESENT,
  SKF_AD_VLAN_TPID,
} from '../kernel/abi/filter.js'
import type { Instruction } from './classic.js'

/** `d`: one line an instruction, to be read; `dd`: rows of C; `ddd`: the count, then rows of decimal numbers. */
export type ProgramStyle = 'd' | 'dd' | 'ddd'

/** A line an instruction, for `ddd` one more, each with its newline. */
export function formatProgram(program: readonly Instruction[], style: ProgramStyle): string {
  const lines = style === 'ddd' ? [`${program.length}`] : []
  for (const [index, instruction] of program.entries()) {
    const [code, jt, jf, k] = instruction
    if (style === 'd') lines.push(formatInstruction(instruction, index))
    else if (style === 'dd') lines.push(`{ 0x${code.toString(16)}, ${jt}, ${jf}, 0x${k.toString(16).padStart(8, '0')} },`)
    else lines.push(instruction.join(' '))
  }
  return `${lines.join('\n')}\n`
}

/**
 * What `tcpdump -ddd` prints; empty lines and spaces at the ends of lines do not matter.
 * @throws CaptureError INVALID_OPTION for any other text. Whether it is a program that can run is for validateProgram to say.
 */
export function parseProgram(text: string): Instruction[] {
  const lines = text
    .split('\n')
    .map((line, index) => ({ words: line.trim().split(/\s+/), number: index + 1, isEmpty: line.trim() === '' }))
    .filter(({ isEmpty }) => !isEmpty)
  const [count, ...rows] = lines
  const program = rows.map(({ words, number }): Instruction => {
    const row = words.map((word, place) => (/^\d{1,10}$/.test(word) && Number(word) <= (LIMITS[place] ?? -1) ? Number(word) : undefined))
    if (row.length !== LIMITS.length || row.includes(undefined)) {
      throw new CaptureError('INVALID_OPTION', `BPF program, line ${number}: expected four numbers, code, jt, jf and k, got '${words.join(' ')}'`)
    }
    return row as unknown as Instruction
  })
  if (count === undefined || count.words.length !== 1 || count.words[0] !== `${program.length}`) {
    throw new CaptureError('INVALID_OPTION', 'BPF program: expected what tcpdump -ddd prints, the number of instructions and then one a line')
  }
  return program
}

const LIMITS = [0xffff, 0xff, 0xff, 0xffff_ffff]

/** How an operand is written. */
type Operand = (k: number, index: number) => string

const decimal: Operand = (k) => `#${k | 0}`
const hexadecimal: Operand = (k) => `#0x${k.toString(16)}`
const memory: Operand = (k) => `M[${k | 0}]`
const absolute: Operand = (k) => `[${ANCILLARY_NAMES[k - (SKF_AD_OFF >>> 0)] ?? k | 0}]`
const indirect: Operand = (k) => `[x + ${k | 0}]`
const packetLength: Operand = () => '#pktlen'
const x: Operand = () => 'x'
const nothing: Operand = () => ''

/** As libpcap's bpf_image() names them. */
const ANCILLARY_NAMES: Readonly<Record<number, string>> = {
  [SKF_AD_PROTOCOL]: 'proto',
  [SKF_AD_PKTTYPE]: 'type',
  [SKF_AD_IFINDEX]: 'ifidx',
  [SKF_AD_NLATTR]: 'nla',
  [SKF_AD_NLATTR_NEST]: 'nlan',
  [SKF_AD_MARK]: 'mark',
  [SKF_AD_QUEUE]: 'queue',
  [SKF_AD_HATYPE]: 'hatype',
  [SKF_AD_RXHASH]: 'rxhash',
  [SKF_AD_CPU]: 'cpu',
  [SKF_AD_ALU_XOR_X]: 'xor_x',
  [SKF_AD_VLAN_TAG]: 'vlan_tci',
  [SKF_AD_VLAN_TAG_PRESENT]: 'vlanp',
  [SKF_AD_PAY_OFFSET]: 'poff',
  [SKF_AD_RANDOM]: 'random',
  [SKF_AD_VLAN_TPID]: 'vlan_tpid',
}

const FORMS: Readonly<Record<number, readonly [name: string, operand: Operand]>> = {
  [BPF_LD | BPF_W | BPF_ABS]: ['ld', absolute],
  [BPF_LD | BPF_H | BPF_ABS]: ['ldh', absolute],
  [BPF_LD | BPF_B | BPF_ABS]: ['ldb', absolute],
  [BPF_LD | BPF_W | BPF_IND]: ['ld', indirect],
  [BPF_LD | BPF_H | BPF_IND]: ['ldh', indirect],
  [BPF_LD | BPF_B | BPF_IND]: ['ldb', indirect],
  [BPF_LD | BPF_W | BPF_LEN]: ['ld', packetLength],
  [BPF_LD | BPF_IMM]: ['ld', hexadecimal],
  [BPF_LDX | BPF_IMM]: ['ldx', hexadecimal],
  [BPF_LD | BPF_MEM]: ['ld', memory],
  [BPF_LDX | BPF_MEM]: ['ldx', memory],
  [BPF_LDX | BPF_B | BPF_MSH]: ['ldxb', (k) => `4*([${k | 0}]&0xf)`],
  [BPF_ST]: ['st', memory],
  [BPF_STX]: ['stx', memory],
  ...arithmetic(BPF_ADD, 'add', decimal),
  ...arithmetic(BPF_SUB, 'sub', decimal),
  ...arithmetic(BPF_MUL, 'mul', decimal),
  ...arithmetic(BPF_DIV, 'div', decimal),
  ...arithmetic(BPF_MOD, 'mod', decimal),
  ...arithmetic(BPF_LSH, 'lsh', decimal),
  ...arithmetic(BPF_RSH, 'rsh', decimal),
  ...arithmetic(BPF_AND, 'and', hexadecimal),
  ...arithmetic(BPF_OR, 'or', hexadecimal),
  ...arithmetic(BPF_XOR, 'xor', hexadecimal),
  [BPF_ALU | BPF_NEG]: ['neg', nothing],
  [BPF_JMP | BPF_JA]: ['ja', (k, index) => `${(index + 1 + k) | 0}`],
  ...condition(BPF_JEQ, 'jeq'),
  ...condition(BPF_JGT, 'jgt'),
  ...condition(BPF_JGE, 'jge'),
  ...condition(BPF_JSET, 'jset'),
  [BPF_RET | BPF_K]: ['ret', decimal],
  [BPF_RET | BPF_A]: ['ret', nothing],
  [BPF_MISC | BPF_TAX]: ['tax', nothing],
  [BPF_MISC | BPF_TXA]: ['txa', nothing],
}

function arithmetic(operation: number, name: string, constant: Operand): Record<number, readonly [string, Operand]> {
  return { [BPF_ALU | operation | BPF_K]: [name, constant], [BPF_ALU | operation | BPF_X]: [name, x] }
}

function condition(operation: number, name: string): Record<number, readonly [string, Operand]> {
  return { [BPF_JMP | operation | BPF_K]: [name, hexadecimal], [BPF_JMP | operation | BPF_X]: [name, x] }
}

/** One line of `tcpdump -d`, which is libpcap's bpf_image(): an instruction that it has no name for is `unimp`. */
export function formatInstruction([code, jt, jf, k]: Instruction, index: number): string {
  const [name, operand] = FORMS[code] ?? ['unimp', () => `0x${code.toString(16)}`]
  const start = `(${String(index).padStart(3, '0')}) ${name.padEnd(8)} `
  const isConditional = (code & 0x07) === BPF_JMP && (code & 0xf0) !== BPF_JA
  if (!isConditional) return start + operand(k, index)
  return `${start}${operand(k, index).padEnd(16)} jt ${index + 1 + jt}\tjf ${index + 1 + jf}`
}
