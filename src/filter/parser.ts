/**
 * A filter expression to its tree. The language is that of libpcap's grammar.y, an LALR(1) grammar, with its corners: after a
 * qualifier such as `port`, and inside parentheses that began with an identifier, only identifiers may stand; an identifier
 * without qualifiers takes those of the clause before it, and what stood inside parentheses gives none on. Pure.
 */
import type { Arithmetic, Clause, Direction, FilterExpression, IdType, IdValue, Primitive, Qualifiers } from './ast.js'
import { type Columns, FilterError } from './filter-error.js'
import type { Token, TokenKind } from './lexer.js'
import { continueArithmetic, isRelation, parseLoad, parseNegation, parseRelation, protocolOf } from './parse-arithmetic.js'
import { TokenCursor } from './token-cursor.js'

/** @throws FilterError for a text that is no filter expression. */
export function parseFilter(text: string): FilterExpression {
  const cursor = new TokenCursor(text)
  if (cursor.peek().kind === 'end') return { text, clause: undefined }
  const { clause } = parseChain(cursor, parseElement(cursor, { ...NOTHING, term: true }, undefined), ANYTHING)
  if (cursor.peek().kind !== 'end') cursor.fail("expected 'and', 'or' or the end")
  return { text, clause }
}

/** What may stand in a place. */
interface Allowed {
  /** A primitive with its qualifiers, a relation, or such an expression in parentheses. */
  term: boolean
  /** A name or an address without qualifiers. */
  identifier: boolean
  /** A number as such an identifier. */
  number: boolean
  /** Identifiers in parentheses. */
  group: boolean
}

const NOTHING: Allowed = { term: false, identifier: false, number: false, group: false }
const ANYTHING: Allowed = { term: true, identifier: true, number: true, group: true }
const IDENTIFIERS: Allowed = { ...ANYTHING, term: false }

/** `qualifiers` are those that an identifier after this element takes. */
type Element =
  | { as: 'term' | 'identifier'; clause: Clause; qualifiers: Qualifiers | undefined }
  /** A number that may yet be either, and arithmetic without its relation: both only ever stand in parentheses. */
  | { as: 'number'; arithmetic: Arithmetic & { kind: 'constant' } }
  | { as: 'arithmetic'; arithmetic: Arithmetic }

type Finished = Extract<Element, { clause: Clause }>

/** `first` and what `and` and `or` add to it. */
function parseChain(cursor: TokenCursor, first: Element, allowed: Allowed): Finished {
  const start = finish(cursor, first, NOTHING, undefined)
  const rest: { operator: 'and' | 'or'; clause: Clause }[] = []
  let { qualifiers } = start
  while (cursor.peek().kind === 'and' || cursor.peek().kind === 'or') {
    const operator = cursor.take().kind as 'and' | 'or'
    const element = finish(cursor, parseElement(cursor, allowed, qualifiers), allowed, qualifiers)
    qualifiers = element.qualifiers
    rest.push({ operator, clause: element.clause })
  }
  if (rest.length === 0) return start
  const last = (rest.at(-1) as { clause: Clause }).clause
  return { as: start.as, qualifiers, clause: { kind: 'combination', first: start.clause, rest, start: start.clause.start, end: last.end } }
}

/** A number that nothing followed is an identifier, where one may stand. */
function finish(cursor: TokenCursor, element: Element, allowed: Allowed, qualifiers: Qualifiers | undefined): Finished {
  if (element.as === 'number' && allowed.number) return identifier(qualifiers, { kind: 'number', value: element.arithmetic.value }, element.arithmetic)
  if (element.as === 'number' || element.as === 'arithmetic') return cursor.fail("expected an operator or a relation such as '='")
  return element
}

function parseElement(cursor: TokenCursor, allowed: Allowed, qualifiers: Qualifiers | undefined): Element {
  const { start } = cursor.peek()
  let negated = 0
  while (cursor.skip('not')) negated++
  if (negated === 0) return parsePositive(cursor, allowed, qualifiers)
  const afterNot = { ...(allowed.identifier ? IDENTIFIERS : NOTHING), term: allowed.term }
  const element = finish(cursor, parsePositive(cursor, afterNot, qualifiers), afterNot, qualifiers)
  if (negated % 2 === 0) return element
  return { ...element, clause: { kind: 'not', clause: element.clause, start, end: element.clause.end } }
}

function parsePositive(cursor: TokenCursor, allowed: Allowed, qualifiers: Qualifiers | undefined): Element {
  const token = cursor.peek()
  const element = token.kind === '(' ? cursor.nested(() => parseParentheses(cursor, allowed, qualifiers)) : parseLeaf(cursor, allowed, qualifiers)
  if (!allowed.term || (element.as !== 'number' && element.as !== 'arithmetic')) return element
  const left = continueArithmetic(cursor, element.arithmetic)
  if (isRelation(cursor.peek())) {
    const parts = parseRelation(cursor, left)
    return { as: 'term', clause: { kind: 'relation', ...parts, start: left.start, end: parts.right.end }, qualifiers: undefined }
  }
  return left === element.arithmetic ? element : { as: 'arithmetic', arithmetic: left }
}

function parseParentheses(cursor: TokenCursor, allowed: Allowed, qualifiers: Qualifiers | undefined): Element {
  const { start } = cursor.take()
  // A number before `and` or `or` is an identifier here; before an operator it is arithmetic, and before `)` neither yet.
  const inside = parseElement(cursor, { term: allowed.term, identifier: allowed.group, number: allowed.group, group: false }, qualifiers)
  const closing = (): Columns => ({ start, end: cursor.expect(')', "')'").end })
  if ((inside.as === 'number' || inside.as === 'arithmetic') && cursor.peek().kind === ')') {
    return { ...inside, arithmetic: { ...inside.arithmetic, ...closing() } } as Element
  }
  const first = finish(cursor, inside, { ...NOTHING, number: allowed.group }, qualifiers)
  const chain = parseChain(cursor, first, first.as === 'term' ? ANYTHING : IDENTIFIERS)
  if (cursor.peek().kind !== ')')
    cursor.fail(first.as === 'term' ? "expected 'and', 'or' or ')'" : "expected 'and', 'or' or ')' after an identifier in parentheses")
  return { as: first.as, clause: { ...chain.clause, ...closing() }, qualifiers }
}

/** An element without `not` and parentheses before it. */
function parseLeaf(cursor: TokenCursor, allowed: Allowed, qualifiers: Qualifiers | undefined): Element {
  const token = cursor.peek()
  if (token.kind === 'number') {
    cursor.take()
    return { as: 'number', arithmetic: { kind: 'constant', value: token.value, start: token.start, end: token.end } }
  }
  if (IDENTIFIER_KINDS.has(token.kind)) {
    if (!allowed.identifier) refuse(cursor, allowed)
    return parseIdentifier(cursor, qualifiers)
  }
  if (!allowed.term) refuse(cursor, allowed)
  if (token.kind === 'len' || token.kind === '-') {
    cursor.take()
    const arithmetic: Arithmetic = token.kind === 'len' ? { kind: 'length', start: token.start, end: token.end } : parseNegation(cursor, token)
    return { as: 'arithmetic', arithmetic }
  }
  return parseTerm(cursor)
}

const IDENTIFIER_KINDS: ReadonlySet<TokenKind> = new Set<TokenKind>(['name', 'ip4 address', 'ip6 address', 'mac address', 'arcnet address'])

function refuse(cursor: TokenCursor, allowed: Allowed): never {
  const { kind, text } = cursor.peek()
  if (IDENTIFIER_KINDS.has(kind)) cursor.fail('expected a qualifier', `host ${text}, net ${text} or port ${text}, as it is meant`)
  if (allowed.term) cursor.fail('expected a primitive, such as host, port or tcp')
  const escaped = /^[a-z]/.test(text) ? `a name that is also a keyword is written \\${text}` : undefined
  return cursor.fail('expected an identifier', escaped)
}

function parseIdentifier(cursor: TokenCursor, qualifiers: Qualifiers | undefined): Element {
  const token = cursor.take()
  const { kind, text } = token
  switch (kind) {
    case 'ip4 address':
      if (cursor.skip('/')) {
        const bits = cursor.expect('number', 'the number of bits of the network')
        return identifier(qualifiers, { kind: 'net4', text, mask: { bits: bits.value } }, { start: token.start, end: bits.end })
      }
      if (cursor.skip('mask')) {
        const mask = cursor.expect('ip4 address', 'a network mask such as 255.255.0.0')
        return identifier(qualifiers, { kind: 'net4', text, mask: { text: mask.text } }, { start: token.start, end: mask.end })
      }
      return identifier(qualifiers, { kind: 'ip4', text }, token)
    case 'ip6 address': {
      if (!cursor.skip('/')) return identifier(qualifiers, { kind: 'ip6', text, bits: undefined }, token)
      const bits = cursor.expect('number', 'the number of bits of the network')
      return identifier(qualifiers, { kind: 'ip6', text, bits: bits.value }, { start: token.start, end: bits.end })
    }
    case 'name':
      return identifier(qualifiers, { kind, name: text }, token)
    default:
      return identifier(qualifiers, { kind: kind === 'mac address' ? 'mac' : 'arcnet', text }, token)
  }
}

function identifier(qualifiers: Qualifiers | undefined, value: IdValue, { start, end }: Columns): Finished {
  return { as: 'identifier', clause: { kind: 'id', qualifiers, value, start, end }, qualifiers }
}

const WIRELESS: ReadonlySet<TokenKind> = new Set<TokenKind>(['ra', 'ta', 'addr1', 'addr2', 'addr3', 'addr4'])
const ADDRESS_TYPES: ReadonlySet<TokenKind> = new Set<TokenKind>(['host', 'net', 'port', 'portrange'])
const UNDIRECTED_TYPES: ReadonlySet<TokenKind> = new Set<TokenKind>(['proto', 'protochain', 'gateway'])

/** A primitive that begins with its own keyword or with a protocol. */
function parseTerm(cursor: TokenCursor): Element {
  const first = cursor.peek()
  const protocol = protocolOf(first)
  if (protocol !== undefined) {
    cursor.take()
    if (cursor.peek().kind === '[') return { as: 'arithmetic', arithmetic: parseLoad(cursor, protocol, first) }
  }
  const { kind } = cursor.peek()
  if (kind === 'src' || kind === 'dst' || WIRELESS.has(kind)) {
    const direction = parseDirection(cursor)
    const type = ADDRESS_TYPES.has(cursor.peek().kind) ? (cursor.take().kind as IdType) : undefined
    return parseQualified(cursor, { protocol, direction, type }, first)
  }
  if (ADDRESS_TYPES.has(kind) || UNDIRECTED_TYPES.has(kind)) {
    const type = cursor.take().kind as IdType
    return parseQualified(cursor, { protocol, direction: undefined, type }, first)
  }
  if (kind === 'broadcast' || kind === 'multicast') {
    const { end } = cursor.take()
    return term({ kind, protocol, start: first.start, end })
  }
  refuseOtherLinkTypes(cursor)
  if (protocol !== undefined) return term({ kind: 'protocol', protocol, start: first.start, end: first.end })
  return parseKeyword(cursor)
}

function term(clause: Clause): Element {
  return { as: 'term', clause, qualifiers: undefined }
}

function parseDirection(cursor: TokenCursor): Direction {
  const { kind } = cursor.take()
  if (kind !== 'src' && kind !== 'dst') return kind as Direction
  const joined = cursor.peek().kind
  if (joined !== 'or' && joined !== 'and') return kind
  cursor.take()
  const other = kind === 'src' ? 'dst' : 'src'
  cursor.expect(other, `'${other}' after '${kind} ${joined}'`)
  return `src ${joined} dst`
}

/** The columns of what is qualified begin with its qualifiers. */
function parseQualified(cursor: TokenCursor, qualifiers: Qualifiers, { start }: Token): Element {
  const { clause } = finish(cursor, parseElement(cursor, IDENTIFIERS, qualifiers), IDENTIFIERS, qualifiers)
  return { as: 'term', clause: { ...clause, start }, qualifiers }
}

function parseKeyword(cursor: TokenCursor): Element {
  const token = cursor.peek()
  const { kind } = token
  const ended = (primitive: Unplaced): Element => term({ ...primitive, start: token.start, end: cursor.lastEnd } as Primitive)
  switch (kind) {
    case 'less':
    case 'greater':
    case 'ifindex':
      cursor.take()
      return ended({ kind, value: cursor.number('a number') })
    case 'byte': {
      cursor.take()
      const offset = cursor.number('the offset of a byte')
      const operator = cursor.peek().kind
      if (operator !== '&' && operator !== '|' && operator !== '<' && operator !== '>' && operator !== '=') return cursor.fail('expected &, |, <, > or =')
      cursor.take()
      return ended({ kind, offset, operator, value: cursor.number('a number') })
    }
    case 'inbound':
    case 'outbound':
    case 'pppoed':
      cursor.take()
      return ended({ kind })
    case 'vlan':
    case 'mpls':
    case 'pppoes':
    case 'geneve':
    case 'vxlan':
      cursor.take()
      return ended({ kind, value: parseOptionalNumber(cursor) })
    case 'llc': {
      cursor.take()
      const type = cursor.peek().kind === 'name' || cursor.peek().kind === 'rnr' ? cursor.take() : undefined
      return ended({ kind, type: type?.kind === 'rnr' ? 'rnr' : type?.text })
    }
    default:
      return refuse(cursor, ANYTHING)
  }
}

/** A primitive whose columns are not known yet. */
type Unplaced = Primitive extends infer Each ? (Each extends Columns ? Omit<Each, keyof Columns> : never) : never

/** A number, in any parentheses. */
function parseOptionalNumber(cursor: TokenCursor): number | undefined {
  let open = 0
  while (cursor.skip('(')) open++
  if (open === 0 && cursor.peek().kind !== 'number') return undefined
  const value = cursor.number('a number')
  while (open-- > 0) cursor.expect(')', "')'")
  return value
}

/** The keywords of link types that ringtap does not capture, with what libpcap says of them on Ethernet. */
function refuseOtherLinkTypes(cursor: TokenCursor): void {
  const token = cursor.peek()
  const needs = OTHER_LINK_TYPES[token.kind]
  if (needs !== undefined) throw new FilterError(`'${token.text}' supported only on ${needs}`, cursor.text, token)
}

const OTHER_LINK_TYPES: Partial<Record<TokenKind, string>> = {
  ...each(['type', 'subtype', 'dir'], '802.11'),
  ...each(['lane', 'metac', 'bcc', 'oam', 'oamf4', 'oamf4ec', 'oamf4sc', 'sc', 'ilmic', 'vpi', 'vci', 'connectmsg', 'metaconnect'], 'raw ATM'),
  ...each(['on', 'rset', 'rnr', 'srnr', 'reason', 'action'], 'PF linktype'),
  ...each(['fisu', 'lssu', 'msu', 'hfisu', 'hlssu', 'hmsu'], 'MTP2'),
  ...each(['sio', 'opc', 'dpc', 'sls', 'hsio', 'hopc', 'hdpc', 'hsls'], 'SS7'),
}

function each(kinds: readonly TokenKind[], needs: string): Partial<Record<TokenKind, string>> {
  return Object.fromEntries(kinds.map((kind) => [kind, needs]))
}
