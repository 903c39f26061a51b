/**
 * An eBPF assembler: statements in, code out, one line of text an instruction for whoever reads it. Registers are written
 * `'r0'` to `'r10'`, numbers are immediates; a jump names a label, a map reference names a map. Pure; loading is in
 * kernel/bpf-program.ts. Encoding: Documentation/bpf/standardization/instruction-set.rst.
 *
 * Every maker of an instruction throws RangeError for an immediate, an offset or a register that does not fit.
 */
import {
  BPF_ABS,
  BPF_ADD,
  BPF_ALU,
  BPF_ALU64,
  BPF_AND,
  BPF_ARSH,
  BPF_ATOMIC,
  BPF_B,
  BPF_CALL,
  BPF_DIV,
  BPF_DW,
  BPF_END,
  BPF_EXIT,
  BPF_H,
  BPF_IMM,
  BPF_IND,
  BPF_JA,
  BPF_JEQ,
  BPF_JGE,
  BPF_JGT,
  BPF_JLE,
  BPF_JLT,
  BPF_JMP,
  BPF_JMP32,
  BPF_JNE,
  BPF_JSET,
  BPF_JSGE,
  BPF_JSGT,
  BPF_JSLE,
  BPF_JSLT,
  BPF_LD,
  BPF_LDX,
  BPF_LSH,
  BPF_MEM,
  BPF_MOD,
  BPF_MOV,
  BPF_MUL,
  BPF_NEG,
  BPF_OR,
  BPF_PSEUDO_KFUNC_CALL,
  BPF_PSEUDO_MAP_FD,
  BPF_PSEUDO_MAP_VALUE,
  BPF_RSH,
  BPF_ST,
  BPF_STX,
  BPF_SUB,
  BPF_TO_BE,
  BPF_TO_LE,
  BPF_W,
  BPF_X,
  BPF_XOR,
} from '../kernel/abi/ebpf.js'

export type Register = 'r0' | 'r1' | 'r2' | 'r3' | 'r4' | 'r5' | 'r6' | 'r7' | 'r8' | 'r9' | 'r10'
/** b 8, h 16, w 32, dw 64 bits. */
export type Size = 'b' | 'h' | 'w' | 'dw'

const SIZE_CODES = { w: BPF_W, h: BPF_H, b: BPF_B, dw: BPF_DW } as const
const SIZE_BITS = { w: 32, h: 16, b: 8, dw: 64 } as const
const ALU_CODES = {
  add: BPF_ADD,
  sub: BPF_SUB,
  mul: BPF_MUL,
  div: BPF_DIV,
  or: BPF_OR,
  and: BPF_AND,
  lsh: BPF_LSH,
  rsh: BPF_RSH,
  mod: BPF_MOD,
  xor: BPF_XOR,
  mov: BPF_MOV,
  arsh: BPF_ARSH,
} as const
const JUMP_CODES = {
  eq: BPF_JEQ,
  gt: BPF_JGT,
  ge: BPF_JGE,
  set: BPF_JSET,
  ne: BPF_JNE,
  sgt: BPF_JSGT,
  sge: BPF_JSGE,
  lt: BPF_JLT,
  le: BPF_JLE,
  slt: BPF_JSLT,
  sle: BPF_JSLE,
} as const

export type AluOperation = keyof typeof ALU_CODES
/** `set`: a bit is set in both. Those that begin with s are signed, the others unsigned. */
export type Condition = keyof typeof JUMP_CODES

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
  /** The map whose descriptor replaces `immediate`. */
  map?: string
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
  return operate(BPF_ALU64 | ALU_CODES[operation], destination, operand, SIGNED)
}

/** The same on the lower 32 bits, the upper ones become 0. */
export function alu32(operation: AluOperation, destination: Register, operand: Register | number): Instruction {
  return operate(BPF_ALU | ALU_CODES[operation], destination, operand, EITHER)
}

/** `destination = -destination`, 64 bits. */
export function negate(destination: Register): Instruction {
  return instruction(BPF_ALU64 | BPF_NEG, destination)
}

/** The lowest 16, 32 or 64 bits into network byte order, the others become 0. */
export function toBigEndian(destination: Register, bits: 16 | 32 | 64): Instruction {
  return instruction(BPF_ALU | BPF_END | BPF_TO_BE, destination, 0, 0, bits)
}

/** On the machines that ringtap runs on: cuts to the lowest 16, 32 or 64 bits. */
export function toLittleEndian(destination: Register, bits: 16 | 32 | 64): Instruction {
  return instruction(BPF_ALU | BPF_END | BPF_TO_LE, destination, 0, 0, bits)
}

/** `destination = *(size *)(base + offset)`. */
export function load(size: Size, destination: Register, base: Register, offset: number): Instruction {
  return instruction(BPF_LDX | BPF_MEM | SIZE_CODES[size], destination, registerNumber(base), offset)
}

/** `*(size *)(base + offset) = operand`. */
export function store(size: Size, base: Register, offset: number, operand: Register | number): Instruction {
  const code = BPF_MEM | SIZE_CODES[size]
  if (typeof operand === 'string') return instruction(BPF_STX | code, base, registerNumber(operand), offset)
  const bits = SIZE_BITS[size]
  return instruction(BPF_ST | code, base, 0, offset, fitting('immediate', operand, bits === 64 ? SIGNED : [-(2 ** (bits - 1)), 2 ** bits - 1]))
}

/** `*(size *)(base + offset) += source`, in one step for all CPUs. */
export function atomicAdd(size: 'w' | 'dw', base: Register, offset: number, source: Register): Instruction {
  return instruction(BPF_STX | BPF_ATOMIC | SIZE_CODES[size], base, registerNumber(source), offset, BPF_ADD)
}

/**
 * For socket programs, with their context in r6: `r0 =` 8, 16 or 32 bits of the packet from byte `offset` on, in host order.
 * A packet that is shorter ends the program with answer 0. r1 to r5 are lost.
 */
export function loadAbsolute(size: 'b' | 'h' | 'w', offset: number): Instruction {
  return instruction(BPF_LD | BPF_ABS | SIZE_CODES[size], 'r0', 0, 0, fitting('offset', offset, EITHER))
}

/** The same from byte `index + offset` on. */
export function loadIndirect(size: 'b' | 'h' | 'w', index: Register, offset: number): Instruction {
  return instruction(BPF_LD | BPF_IND | SIZE_CODES[size], 'r0', registerNumber(index), 0, fitting('offset', offset, EITHER))
}

/** `destination = value`, all 64 bits. Two slots. */
export function loadImmediate64(destination: Register, value: bigint): Instruction {
  if (value < -(2n ** 63n) || value >= 2n ** 64n) throw new RangeError(`immediate ${value} does not fit 64 bits`)
  const low = Number(BigInt.asIntN(32, value))
  const high = Number(BigInt.asIntN(32, value >> 32n))
  return { ...instruction(BPF_LD | BPF_IMM | BPF_DW, destination, 0, 0, low), high }
}

/** `destination` = the map of this name, as helpers take it. Two slots. */
export function loadMap(destination: Register, map: string): Instruction {
  return { ...instruction(BPF_LD | BPF_IMM | BPF_DW, destination, BPF_PSEUDO_MAP_FD), high: 0, map }
}

/** `destination` = the address of byte `offset` of the first value of the array map of this name. Two slots. Since Linux 5.2. */
export function loadMapValue(destination: Register, map: string, offset: number): Instruction {
  const high = fitting('offset', offset, [0, 2 ** 32 - 1]) | 0
  return { ...instruction(BPF_LD | BPF_IMM | BPF_DW, destination, BPF_PSEUDO_MAP_VALUE), high, map }
}

export function jump(target: string): Instruction {
  return { ...instruction(BPF_JMP | BPF_JA, 'r0'), target }
}

/** Goes to `target` if `left condition right`, 64 bits. An immediate is sign-extended. */
export function jumpIf(condition: Condition, left: Register, right: Register | number, target: string): Instruction {
  return { ...operate(BPF_JMP | JUMP_CODES[condition], left, right, SIGNED), target }
}

/** The same with the lower 32 bits. Since Linux 5.1. */
export function jumpIf32(condition: Condition, left: Register, right: Register | number, target: string): Instruction {
  return { ...operate(BPF_JMP32 | JUMP_CODES[condition], left, right, EITHER), target }
}

/** Calls a helper of the kernel, a BPF_FUNC_* number: r1 to r5 in, r0 out; r1 to r5 are lost. */
export function call(helper: number): Instruction {
  return instruction(BPF_JMP | BPF_CALL, 'r0', 0, 0, fitting('helper', helper, [0, 2 ** 31 - 1]))
}

/**
 * Calls a function of the kernel itself, by its number in the BTF of the running kernel (kernel/btf.ts): registers as for a helper,
 * but of an int only the lower half of r0 counts. Since Linux 5.13; which programs may call which, the kernel says.
 */
export function callKernelFunction(btfId: number): Instruction {
  return instruction(BPF_JMP | BPF_CALL, 'r0', BPF_PSEUDO_KFUNC_CALL, 0, fitting('kernel function', btfId, [1, 2 ** 31 - 1]))
}

export function exit(): Instruction {
  return instruction(BPF_JMP | BPF_EXIT, 'r0')
}

type Range = readonly [min: number, max: number]
/** Where 64 bits are meant: an immediate from 2^31 on would become a negative number. */
const SIGNED: Range = [-(2 ** 31), 2 ** 31 - 1]
const EITHER: Range = [-(2 ** 31), 2 ** 32 - 1]
const OFFSET: Range = [-(2 ** 15), 2 ** 15 - 1]

function operate(code: number, destination: Register, operand: Register | number, range: Range): Instruction {
  if (typeof operand === 'string') return instruction(code | BPF_X, destination, registerNumber(operand))
  return instruction(code, destination, 0, 0, fitting('immediate', operand, range))
}

function instruction(code: number, destination: Register, source = 0, offset = 0, immediate = 0): Instruction {
  return { code, destination: registerNumber(destination), source, offset: fitting('offset', offset, OFFSET), immediate: immediate | 0 }
}

function fitting(what: string, value: number, [min, max]: Range): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value
  throw new RangeError(`${what} ${value} is no whole number from ${min} to ${max}`)
}

function registerNumber(register: Register): number {
  const found = /^r(\d|10)$/.exec(register)?.[1]
  if (found === undefined) throw new RangeError(`no register ${register}`)
  return Number(found)
}

function slots(it: Instruction): number {
  return it.high === undefined ? 1 : 2
}

/** Replaces labels by distances. @throws RangeError for a label that is missing, doubled or too far away. */
export function resolve(statements: readonly Statement[]): Instruction[] {
  const labels = new Map<string, number>()
  let slot = 0
  for (const statement of statements) {
    if ('label' in statement) {
      if (labels.has(statement.label)) throw new RangeError(`label ${statement.label} stands twice`)
      labels.set(statement.label, slot)
    } else slot += slots(statement)
  }
  const resolved: Instruction[] = []
  slot = 0
  for (const statement of statements) {
    if ('label' in statement) continue
    slot += slots(statement)
    const { target, ...plain } = statement
    if (target !== undefined) {
      const at = labels.get(target)
      if (at === undefined) throw new RangeError(`no label ${target}`)
      plain.offset = at - slot
      if (plain.offset < OFFSET[0] || plain.offset > OFFSET[1])
        throw new RangeError(`label ${target} is ${plain.offset} slots away, which does not fit 16 bits`)
    }
    resolved.push(plain)
  }
  return resolved
}

/**
 * The code, 8 bytes a slot: struct bpf_insn. `maps` gives the descriptor of each map by its name.
 * @throws RangeError for a label that is missing, doubled or too far away, and for a map without a descriptor.
 */
export function assemble(statements: readonly Statement[], maps: Readonly<Record<string, number>> = {}): Uint8Array<ArrayBuffer> {
  const instructions = resolve(statements)
  const bytes = new Uint8Array(instructions.reduce((sum, it) => sum + 8 * slots(it), 0))
  const view = new DataView(bytes.buffer)
  let at = 0
  for (const it of instructions) {
    view.setUint8(at, it.code)
    view.setUint8(at + 1, it.destination | (it.source << 4))
    view.setInt16(at + 2, it.offset, true)
    view.setInt32(at + 4, it.map === undefined ? it.immediate : mapDescriptor(it.map, maps), true)
    at += 8
    if (it.high === undefined) continue
    view.setInt32(at + 4, it.high, true)
    at += 8
  }
  return bytes
}

function mapDescriptor(name: string, maps: Readonly<Record<string, number>>): number {
  const fd = Object.hasOwn(maps, name) ? (maps[name] as number) : undefined
  if (fd === undefined) throw new RangeError(`no descriptor for map ${name}, only for ${Object.keys(maps).join(', ') || 'none'}`)
  return fitting(`descriptor of map ${name}`, fd, [0, 2 ** 31 - 1])
}

const ALU_SIGNS: Readonly<Record<number, string>> = {
  [BPF_ADD]: '+=',
  [BPF_SUB]: '-=',
  [BPF_MUL]: '*=',
  [BPF_DIV]: '/=',
  [BPF_OR]: '|=',
  [BPF_AND]: '&=',
  [BPF_LSH]: '<<=',
  [BPF_RSH]: '>>=',
  [BPF_MOD]: '%=',
  [BPF_XOR]: '^=',
  [BPF_MOV]: '=',
  [BPF_ARSH]: 's>>=',
}
const JUMP_SIGNS: Readonly<Record<number, string>> = {
  [BPF_JEQ]: '==',
  [BPF_JGT]: '>',
  [BPF_JGE]: '>=',
  [BPF_JSET]: '&',
  [BPF_JNE]: '!=',
  [BPF_JSGT]: 's>',
  [BPF_JSGE]: 's>=',
  [BPF_JLT]: '<',
  [BPF_JLE]: '<=',
  [BPF_JSLT]: 's<',
  [BPF_JSLE]: 's<=',
}
const SIZE_NAMES: Readonly<Record<number, string>> = { [BPF_W]: 'u32', [BPF_H]: 'u16', [BPF_B]: 'u8', [BPF_DW]: 'u64' }

/** One line an instruction, `slot: text`, in the notation of llvm-objdump and the verifier's log; a map by its name. */
export function disassemble(statements: readonly Statement[]): string[] {
  let slot = 0
  return resolve(statements).map((it) => {
    const line = `${slot}: ${instructionText(it)}`
    slot += slots(it)
    return line
  })
}

function instructionText(it: Instruction): string {
  const group = it.code & 0x07
  const operation = it.code & 0xf0
  const width = group === BPF_ALU || group === BPF_JMP32 ? 'w' : 'r'
  const operand = (it.code & BPF_X) !== 0 ? `${width}${it.source}` : `${it.immediate}`
  const size = SIZE_NAMES[it.code & 0x18]
  const memory = (base: number) => `*(${size} *)(r${base} ${it.offset < 0 ? '-' : '+'} ${Math.abs(it.offset)})`
  const distance = `${it.offset < 0 ? '' : '+'}${it.offset}`
  switch (group) {
    case BPF_LD:
      if (it.high === undefined) return `r0 = *(${size} *)skb[${(it.code & 0xe0) === BPF_IND ? `r${it.source} + ` : ''}${it.immediate}]`
      if (it.source === BPF_PSEUDO_MAP_FD) return `r${it.destination} = map[${it.map}] ll`
      if (it.source === BPF_PSEUDO_MAP_VALUE) return `r${it.destination} = map[${it.map}][0]+${it.high >>> 0} ll`
      return `r${it.destination} = 0x${((BigInt(it.high >>> 0) << 32n) | BigInt(it.immediate >>> 0)).toString(16)} ll`
    case BPF_LDX:
      return `r${it.destination} = ${memory(it.source)}`
    case BPF_ST:
      return `${memory(it.destination)} = ${it.immediate}`
    case BPF_STX:
      if ((it.code & 0xe0) === BPF_ATOMIC) return `lock ${memory(it.destination)} += r${it.source}`
      return `${memory(it.destination)} = r${it.source}`
    case BPF_JMP:
    case BPF_JMP32:
      if (operation === BPF_JA) return `goto ${distance}`
      if (operation === BPF_CALL) return it.source === BPF_PSEUDO_KFUNC_CALL ? `call kernel#${it.immediate}` : `call ${it.immediate}`
      if (operation === BPF_EXIT) return 'exit'
      return `if ${width}${it.destination} ${JUMP_SIGNS[operation]} ${operand} goto ${distance}`
    default:
      if (operation === BPF_END) return `r${it.destination} = ${(it.code & BPF_TO_BE) !== 0 ? 'be' : 'le'}${it.immediate} r${it.destination}`
      if (operation === BPF_NEG) return `r${it.destination} = -r${it.destination}`
      return `${width}${it.destination} ${ALU_SIGNS[operation]} ${operand}`
  }
}
