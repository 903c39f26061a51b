/**
 * An eBPF assembler: statements in, code out, one line of text an instruction for whoever reads it. Registers are written
 * `'r0'` to `'r10'`, numbers are immediates; a jump names a label. Pure; loading is in kernel/bpf.ts.
 * Encoding: Documentation/bpf/standardization/instruction-set.rst.
 */

export type Register = 'r0' | 'r1' | 'r2' | 'r3' | 'r4' | 'r5' | 'r6' | 'r7' | 'r8' | 'r9' | 'r10'
/** b 8, h 16, w 32, dw 64 bits. */
export type Size = 'b' | 'h' | 'w' | 'dw'

const SIZE_CODES = { w: 0x00, h: 0x08, b: 0x10, dw: 0x18 } as const
const ALU_CODES = {
  add: 0x00,
  sub: 0x10,
  mul: 0x20,
  div: 0x30,
  or: 0x40,
  and: 0x50,
  lsh: 0x60,
  rsh: 0x70,
  mod: 0x90,
  xor: 0xa0,
  mov: 0xb0,
  arsh: 0xc0,
} as const
const JUMP_CODES = { eq: 0x10, gt: 0x20, ge: 0x30, set: 0x40, ne: 0x50, sgt: 0x60, sge: 0x70, lt: 0xa0, le: 0xb0, slt: 0xc0, sle: 0xd0 } as const

export type AluOperation = keyof typeof ALU_CODES
export type Condition = keyof typeof JUMP_CODES

const BPF_LD = 0x00
const BPF_LDX = 0x01
const BPF_ST = 0x02
const BPF_STX = 0x03
const BPF_ALU = 0x04
const BPF_JMP = 0x05
const BPF_ALU64 = 0x07
const BPF_X = 0x08
const BPF_MEM = 0x60
const BPF_IMM = 0x00
const BPF_JA = 0x00
const BPF_CALL = 0x80
const BPF_EXIT = 0x90
const BPF_END = 0xd0
const BPF_TO_BE = 0x08
/** src_reg of a 64-bit immediate: the address of a map's value, the map by descriptor. */
const BPF_PSEUDO_MAP_VALUE = 2

/** bpf_func_id of linux/bpf.h. */
export const BPF_FUNC_get_smp_processor_id = 8
export const BPF_FUNC_redirect = 23

export const XDP_ABORTED = 0
export const XDP_DROP = 1
export const XDP_PASS = 2
export const XDP_TX = 3
export const XDP_REDIRECT = 4

/** struct xdp_md. */
export const XDP_MD = { data: 0, data_end: 4, data_meta: 8, ingress_ifindex: 12, rx_queue_index: 16, egress_ifindex: 20 } as const

export interface Instruction {
  /** `opcode` of struct bpf_insn. */
  code: number
  destination: number
  source: number
  offset: number
  /** 32 bits, signed. */
  immediate: number
  /** The upper 32 bits of a 64-bit immediate: the instruction takes two slots. */
  high?: number
  /** The label that a jump goes to; replaces `offset`. */
  target?: string
}

/** A name for the next instruction. */
export interface Label {
  label: string
}

export type Statement = Instruction | Label

export function label(name: string): Label {
  return { label: name }
}

/** `destination = destination op operand`, 64 bits; for `mov`, `destination = operand`. An immediate is sign-extended. */
export function alu(operation: AluOperation, destination: Register, operand: Register | number): Instruction {
  return operate(BPF_ALU64, operation, destination, operand)
}

/** The same on the lower 32 bits, the upper ones become 0. */
export function alu32(operation: AluOperation, destination: Register, operand: Register | number): Instruction {
  return operate(BPF_ALU, operation, destination, operand)
}

function operate(group: number, operation: AluOperation, destination: Register, operand: Register | number): Instruction {
  const code = group | ALU_CODES[operation]
  return typeof operand === 'number' ? instruction(code, destination, 0, 0, operand) : instruction(code | BPF_X, destination, registerNumber(operand), 0, 0)
}

/** The lowest 16, 32 or 64 bits into network byte order, the others become 0. */
export function toBigEndian(destination: Register, bits: 16 | 32 | 64): Instruction {
  return instruction(BPF_ALU | BPF_END | BPF_TO_BE, destination, 0, 0, bits)
}

/** `destination = *(size *)(base + offset)`. */
export function load(size: Size, destination: Register, base: Register, offset: number): Instruction {
  return instruction(BPF_LDX | BPF_MEM | SIZE_CODES[size], destination, registerNumber(base), offset, 0)
}

/** `*(size *)(base + offset) = operand`. */
export function store(size: Size, base: Register, offset: number, operand: Register | number): Instruction {
  return typeof operand === 'number'
    ? instruction(BPF_ST | BPF_MEM | SIZE_CODES[size], base, 0, offset, operand)
    : instruction(BPF_STX | BPF_MEM | SIZE_CODES[size], base, registerNumber(operand), offset, 0)
}

/** `destination = value`, all 64 bits. Two slots. */
export function loadImmediate64(destination: Register, value: bigint): Instruction {
  const low = Number(BigInt.asIntN(32, value))
  const high = Number(BigInt.asIntN(32, value >> 32n))
  return { ...instruction(BPF_LD | BPF_IMM | SIZE_CODES.dw, destination, 0, 0, low), high }
}

/** `destination` = the address of byte `offset` of the first value of an array map. Two slots. Since Linux 5.2. */
export function loadMapValue(destination: Register, mapFd: number, offset: number): Instruction {
  return { ...instruction(BPF_LD | BPF_IMM | SIZE_CODES.dw, destination, BPF_PSEUDO_MAP_VALUE, 0, mapFd), high: offset }
}

export function jump(target: string): Instruction {
  return { ...instruction(BPF_JMP | BPF_JA, 'r0', 0, 0, 0), target }
}

/** Goes to `target` if `left condition right`, 64 bits, unsigned but for the conditions that begin with s. */
export function jumpIf(condition: Condition, left: Register, right: Register | number, target: string): Instruction {
  const code = BPF_JMP | JUMP_CODES[condition]
  const it = typeof right === 'number' ? instruction(code, left, 0, 0, right) : instruction(code | BPF_X, left, registerNumber(right), 0, 0)
  return { ...it, target }
}

/** Calls a helper of the kernel: r1 to r5 in, r0 out; r1 to r5 are lost. */
export function call(helper: number): Instruction {
  return instruction(BPF_JMP | BPF_CALL, 'r0', 0, 0, helper)
}

export function exit(): Instruction {
  return instruction(BPF_JMP | BPF_EXIT, 'r0', 0, 0, 0)
}

function instruction(code: number, destination: Register, source: number, offset: number, immediate: number): Instruction {
  return { code, destination: registerNumber(destination), source, offset, immediate }
}

function registerNumber(register: Register): number {
  return Number(register.slice(1))
}

/** Replaces labels by distances. @throws RangeError for a label that is missing, doubled or too far away. */
export function resolve(statements: readonly Statement[]): Instruction[] {
  const labels = new Map<string, number>()
  let slot = 0
  for (const statement of statements) {
    if ('label' in statement) {
      if (labels.has(statement.label)) throw new RangeError(`label ${statement.label} stands twice`)
      labels.set(statement.label, slot)
    } else slot += statement.high === undefined ? 1 : 2
  }
  const resolved: Instruction[] = []
  slot = 0
  for (const statement of statements) {
    if ('label' in statement) continue
    slot += statement.high === undefined ? 1 : 2
    const { target, ...plain } = statement
    if (target !== undefined) {
      const at = labels.get(target)
      if (at === undefined) throw new RangeError(`no label ${target}`)
      plain.offset = at - slot
    }
    if (plain.offset < -32768 || plain.offset > 32767) throw new RangeError(`offset ${plain.offset} does not fit 16 bits`)
    resolved.push(plain)
  }
  return resolved
}

/** The code, 8 bytes a slot: struct bpf_insn. */
export function assemble(statements: readonly Statement[]): Uint8Array<ArrayBuffer> {
  const instructions = resolve(statements)
  const bytes = new Uint8Array(instructions.reduce((sum, it) => sum + (it.high === undefined ? 8 : 16), 0))
  const view = new DataView(bytes.buffer)
  let at = 0
  for (const it of instructions) {
    view.setUint8(at, it.code)
    view.setUint8(at + 1, it.destination | (it.source << 4))
    view.setInt16(at + 2, it.offset, true)
    view.setInt32(at + 4, it.immediate, true)
    at += 8
    if (it.high === undefined) continue
    view.setInt32(at + 4, it.high, true)
    at += 8
  }
  return bytes
}

const ALU_SIGNS: Readonly<Record<number, string>> = {
  [ALU_CODES.add]: '+=',
  [ALU_CODES.sub]: '-=',
  [ALU_CODES.mul]: '*=',
  [ALU_CODES.div]: '/=',
  [ALU_CODES.or]: '|=',
  [ALU_CODES.and]: '&=',
  [ALU_CODES.lsh]: '<<=',
  [ALU_CODES.rsh]: '>>=',
  [ALU_CODES.mod]: '%=',
  [ALU_CODES.xor]: '^=',
  [ALU_CODES.mov]: '=',
  [ALU_CODES.arsh]: 's>>=',
}
const JUMP_SIGNS: Readonly<Record<number, string>> = {
  [JUMP_CODES.eq]: '==',
  [JUMP_CODES.gt]: '>',
  [JUMP_CODES.ge]: '>=',
  [JUMP_CODES.set]: '&',
  [JUMP_CODES.ne]: '!=',
  [JUMP_CODES.sgt]: 's>',
  [JUMP_CODES.sge]: 's>=',
  [JUMP_CODES.lt]: '<',
  [JUMP_CODES.le]: '<=',
  [JUMP_CODES.slt]: 's<',
  [JUMP_CODES.sle]: 's<=',
}
const SIZE_NAMES: Readonly<Record<number, string>> = { 0: 'u32', 8: 'u16', 16: 'u8', 24: 'u64' }

/** One line an instruction, `slot: text`, in the notation of llvm-objdump and the verifier's log. */
export function disassemble(statements: readonly Statement[]): string[] {
  let slot = 0
  return resolve(statements).map((it) => {
    const line = `${slot}: ${instructionText(it)}`
    slot += it.high === undefined ? 1 : 2
    return line
  })
}

function instructionText(it: Instruction): string {
  const group = it.code & 0x07
  const operation = it.code & 0xf0
  const width = group === BPF_ALU ? 'w' : 'r'
  const operand = (it.code & BPF_X) !== 0 ? `${width}${it.source}` : `${it.immediate}`
  const memory = (base: number) => `*(${SIZE_NAMES[it.code & 0x18]} *)(r${base} ${it.offset < 0 ? '-' : '+'} ${Math.abs(it.offset)})`
  const distance = `${it.offset < 0 ? '' : '+'}${it.offset}`
  switch (group) {
    case BPF_LD: {
      if (it.source === BPF_PSEUDO_MAP_VALUE) return `r${it.destination} = map[fd:${it.immediate}][0]+${it.high ?? 0} ll`
      const value = (BigInt((it.high ?? 0) >>> 0) << 32n) | BigInt(it.immediate >>> 0)
      return `r${it.destination} = 0x${value.toString(16)} ll`
    }
    case BPF_LDX:
      return `r${it.destination} = ${memory(it.source)}`
    case BPF_ST:
      return `${memory(it.destination)} = ${it.immediate}`
    case BPF_STX:
      return `${memory(it.destination)} = r${it.source}`
    case BPF_JMP:
      if (operation === BPF_JA) return `goto ${distance}`
      if (operation === BPF_CALL) return `call ${it.immediate}`
      if (operation === BPF_EXIT) return 'exit'
      return `if r${it.destination} ${JUMP_SIGNS[operation]} ${operand} goto ${distance}`
    default:
      if (operation === BPF_END) return `r${it.destination} = be${it.immediate} r${it.destination}`
      return `${width}${it.destination} ${ALU_SIGNS[operation]} ${operand}`
  }
}
