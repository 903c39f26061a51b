/** Arithmetic of a filter expression: `tcp[tcpflags] & (tcp-syn | tcp-ack)`. Pure. */
import { type Arithmetic, type BinaryOperator, PROTOCOLS, type Protocol, type Relation } from './ast.js'
import type { Token, TokenKind } from './lexer.js'
import type { TokenCursor } from './token-cursor.js'

/**
 * From weak to strong. NB: `%` and `^` have no precedence in libpcap's grammar.y, so its parser always shifts: they bind closer than
 * all others to their left, and take everything to their right. `2 * 3 % 4 + 5` is `2 * (3 % (4 + 5))`.
 */
const PRECEDENCE: Partial<Record<TokenKind, number>> = { '|': 1, '&': 2, '<<': 3, '>>': 3, '+': 4, '-': 4, '*': 5, '/': 5 }
const SIGN_PRECEDENCE = 6
const ALWAYS_SHIFTED: ReadonlySet<TokenKind> = new Set<TokenKind>(['%', '^'])
const RELATIONS: ReadonlySet<TokenKind> = new Set<TokenKind>(['=', '!=', '>', '>=', '<', '<='])
const PROTOCOL_WORDS: ReadonlySet<string> = new Set(PROTOCOLS)

export function protocolOf({ kind }: Token): Protocol | undefined {
  return PROTOCOL_WORDS.has(kind) ? (kind as Protocol) : undefined
}

export function isRelation({ kind }: Token): boolean {
  return RELATIONS.has(kind)
}

/** An operand that was parsed already; what follows it makes it more, or not. */
export function continueArithmetic(cursor: TokenCursor, operand: Arithmetic): Arithmetic {
  return parseOperators(cursor, operand, 0)
}

/** With `left` parsed and the cursor on the relation. */
export function parseRelation(cursor: TokenCursor, left: Arithmetic): { relation: Relation; left: Arithmetic; right: Arithmetic } {
  const relation = cursor.take().kind as Relation
  return { relation, left, right: parseFrom(cursor, 0) }
}

/** After a minus sign. */
export function parseNegation(cursor: TokenCursor, { start }: Token): Arithmetic {
  const operand = cursor.nested(() => parseFrom(cursor, SIGN_PRECEDENCE))
  return { kind: 'negate', operand, start, end: operand.end }
}

/** After the name of a protocol, with the cursor on its bracket. */
export function parseLoad(cursor: TokenCursor, protocol: Protocol, { start }: Token): Arithmetic {
  cursor.expect('[', "'['")
  const offset = cursor.nested(() => parseFrom(cursor, 0))
  const size = cursor.skip(':') ? cursor.number('the number of bytes, 1, 2 or 4') : 1
  const { end } = cursor.expect(']', "']'")
  return { kind: 'load', protocol, offset, size, start, end }
}

function parseFrom(cursor: TokenCursor, weakest: number): Arithmetic {
  return parseOperators(cursor, parseOperand(cursor), weakest)
}

function parseOperators(cursor: TokenCursor, first: Arithmetic, weakest: number): Arithmetic {
  let left = first
  while (true) {
    const { kind } = cursor.peek()
    const shifted = ALWAYS_SHIFTED.has(kind)
    const precedence = PRECEDENCE[kind]
    if (!shifted && (precedence === undefined || precedence < weakest)) return left
    cursor.take()
    const right = cursor.nested(() => parseFrom(cursor, shifted ? 0 : (precedence as number) + 1))
    left = { kind: 'binary', operator: kind as BinaryOperator, left, right, start: left.start, end: right.end }
  }
}

function parseOperand(cursor: TokenCursor): Arithmetic {
  const token = cursor.peek()
  const protocol = protocolOf(token)
  if (protocol !== undefined) {
    cursor.take()
    return parseLoad(cursor, protocol, token)
  }
  switch (token.kind) {
    case 'number':
      return { ...columns(cursor.take()), kind: 'constant', value: token.value }
    case 'len':
      return { ...columns(cursor.take()), kind: 'length' }
    case '-':
      return parseNegation(cursor, cursor.take())
    case '(': {
      cursor.take()
      const inside = cursor.nested(() => parseFrom(cursor, 0))
      const { end } = cursor.expect(')', "')'")
      return { ...inside, start: token.start, end }
    }
    default:
      return cursor.fail('expected a number, a field such as tcp[13], or len')
  }
}

function columns({ start, end }: Token): { start: number; end: number } {
  return { start, end }
}
