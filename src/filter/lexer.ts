/**
 * The text of a filter expression to tokens. Of the rules of libpcap's scanner.l the longest match wins, and of equals the
 * first: `80` is a number and `80-90` a name; `12:34:56:78:9a:bc` is a MAC address, and with two more groups an IPv6 one. Pure.
 */
import { type Columns, FilterError } from './filter-error.js'
import { KEYWORDS, type Keyword, NAMED_NUMBERS } from './keywords.js'

/** More text than this is refused unread. */
export const FILTER_TEXT_LIMIT = 65536

type Punctuation = '+' | '-' | '*' | '/' | '%' | '&' | '|' | '^' | '<<' | '>>' | ':' | '[' | ']' | '(' | ')' | '<' | '>' | '=' | '!=' | '<=' | '>='

export type TokenKind = Keyword | Punctuation | 'number' | 'name' | 'ip4 address' | 'ip6 address' | 'mac address' | 'arcnet address' | 'end'

export interface Token extends Columns {
  kind: TokenKind
  /** As written; of a name without its backslash. */
  text: string
  /** Of a number; else 0. */
  value: number
}

/** Stands where scanning failed, so that a mistake further left is told first. */
export interface BadToken extends Columns {
  kind: 'bad'
  reason: string
}

/** Ends in one token `end` or `bad`. @throws FilterError for a text above FILTER_TEXT_LIMIT. */
export function scan(text: string): (Token | BadToken)[] {
  if (text.length > FILTER_TEXT_LIMIT) {
    throw new FilterError(`the filter expression has ${text.length} characters, more than ${FILTER_TEXT_LIMIT}`, text, { start: 0, end: 1 })
  }
  const tokens: (Token | BadToken)[] = []
  let at = 0
  while (true) {
    at += lengthOf(BLANK, text, at)
    const token = at < text.length ? tokenAt(text, at) : { kind: 'end' as const, text: '', value: 0, start: at, end: at }
    tokens.push(token)
    if (token.kind === 'end' || token.kind === 'bad') return tokens
    at = token.end
  }
}

const NUMBER = '(?:0[xX][0-9A-Fa-f]+|[0-9]+)'
const HEX = '[0-9A-Fa-f]'
const B = `${HEX}{1,2}`

const BLANK = /[ \r\n\t]*/y
const OPERATOR = /&&|\|\||<<|>>|[<>!=]=|[-+*/%:[\]!<>()&|^=]/y
const ARCNET = new RegExp(`\\$${B}`, 'y')
const MAC = new RegExp(`${B}([-:.])${B}(?:\\1${B}){4}|${HEX}{4}\\.${HEX}{4}\\.${HEX}{4}|${HEX}{12}`, 'y')
const PLAIN_NUMBER = new RegExp(NUMBER, 'y')
const IP4 = new RegExp(`${NUMBER}(?:\\.${NUMBER}){1,3}`, 'y')
const BOGUS_MAC = new RegExp(`${B}:+(?:${B}:+)+`, 'y')
const NAME = /[A-Za-z0-9](?:[-_.A-Za-z0-9]*[.A-Za-z0-9])?/y
const ESCAPED = /\\[^ !()\n\t]+/y
const GROUP = new RegExp(`${HEX}{1,4}`, 'y')
const DOTTED_QUAD = new RegExp(`${NUMBER}(?:\\.${NUMBER}){3}`, 'y')

function lengthOf(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at
  return pattern.exec(text)?.[0].length ?? 0
}

/** In the order of the rules. */
const RULES = [
  { kind: 'operator', length: (text: string, at: number) => lengthOf(OPERATOR, text, at) },
  { kind: 'arcnet address', length: (text: string, at: number) => lengthOf(ARCNET, text, at) },
  { kind: 'mac address', length: (text: string, at: number) => lengthOf(MAC, text, at) },
  { kind: 'number', length: (text: string, at: number) => lengthOf(PLAIN_NUMBER, text, at) },
  { kind: 'ip4 address', length: (text: string, at: number) => lengthOf(IP4, text, at) },
  { kind: 'ip6 address', length: ip6Length },
  { kind: 'bogus mac', length: (text: string, at: number) => lengthOf(BOGUS_MAC, text, at) },
  { kind: 'name', length: (text: string, at: number) => lengthOf(NAME, text, at) },
  { kind: 'escaped', length: (text: string, at: number) => lengthOf(ESCAPED, text, at) },
] as const

function tokenAt(text: string, start: number): Token | BadToken {
  let kind: (typeof RULES)[number]['kind'] | undefined
  let length = 0
  for (const rule of RULES) {
    const found = rule.length(text, start)
    if (found > length) {
      kind = rule.kind
      length = found
    }
  }
  const end = start + length
  const word = text.slice(start, end)
  const token = (kind: TokenKind, value = 0, shown = word): Token => ({ kind, text: shown, value, start, end })
  const bad = (reason: string): BadToken => ({ kind: 'bad', reason, start, end: Math.max(end, start + 1) })
  switch (kind) {
    case undefined:
      return bad(`illegal character '${text[start]}'`)
    case 'operator':
      return token(OPERATOR_WORDS.get(word) ?? (word as Punctuation))
    case 'number': {
      const value = numberOf(word)
      return typeof value === 'number' ? token('number', value) : bad(value)
    }
    case 'ip6 address':
      return ip6Bytes(word) === undefined ? bad(`bogus IPv6 address ${word}`) : token('ip6 address')
    case 'bogus mac':
      return bad(`bogus ethernet address ${word}`)
    case 'name': {
      const value = NAMED_NUMBERS.get(word)
      return value === undefined ? token(KEYWORDS.get(word) ?? 'name') : token('number', value)
    }
    case 'escaped':
      return token('name', 0, word.slice(1))
    default:
      return token(kind)
  }
}

const OPERATOR_WORDS: ReadonlyMap<string, TokenKind> = new Map([
  ['&&', 'and'],
  ['||', 'or'],
  ['!', 'not'],
  ['==', '='],
])

/** Decimal, hexadecimal after 0x, octal after 0; or what is wrong with it. */
function numberOf(word: string): number | string {
  const octal = /^0[0-9]/.test(word)
  if (octal && /[89]/.test(word)) return `number ${word} contains non-octal digit`
  const value = octal ? Number.parseInt(word, 8) : Number(word)
  return value > 0xffff_ffff ? `number ${word} overflows 32 bits` : value
}

/** The longest start of the text at `at` that has the form of an IPv6 address: eight groups, or fewer around one `::`; a dotted quad for the last two. */
function ip6Length(text: string, at: number): number {
  let longest = 0
  let groups = 0
  let gap = false
  let end = at
  if (text.startsWith('::', at)) {
    gap = true
    end += 2
    longest = 2
  }
  while (groups < (gap ? 7 : 8)) {
    const quad = gap ? groups <= 5 : groups === 6
    const quadLength = quad ? lengthOf(DOTTED_QUAD, text, end) : 0
    if (quadLength > 0) longest = Math.max(longest, end + quadLength - at)
    const length = lengthOf(GROUP, text, end)
    if (length === 0) break
    end += length
    groups++
    if (gap || groups === 8) longest = Math.max(longest, end - at)
    if (text[end] !== ':') break
    if (text[end + 1] !== ':') end++
    else if (gap) break
    else {
      if (groups > 7) break
      gap = true
      end += 2
      longest = Math.max(longest, end - at)
    }
  }
  return longest
}

/** The sixteen bytes of a word that `ip6Length` took; undefined where a dotted quad has a part that inet_pton(3) refuses. */
export function ip6Bytes(word: string): Uint8Array | undefined {
  const quad = /[^:]*\.[^:]*$/.exec(word)?.[0]
  let hex = word
  if (quad !== undefined) {
    const parts = quad.split('.')
    if (!parts.every((part) => /^(0|[1-9][0-9]{0,2})$/.test(part) && Number(part) <= 255)) return undefined
    const [a, b, c, d] = parts.map(Number) as [number, number, number, number]
    hex = `${word.slice(0, -quad.length)}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
  }
  const [head = '', tail] = hex.split('::')
  const numbers = (half: string | undefined) => (half === undefined || half === '' ? [] : half.split(':').map((group) => Number.parseInt(group, 16)))
  const [first, last] = [numbers(head), numbers(tail)]
  const groups = [...first, ...new Array<number>(8 - first.length - last.length).fill(0), ...last]
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]))
}
