/** The place of the parser in the tokens. Pure. */
import { type Columns, FilterError } from './filter-error.js'
import { type BadToken, scan, type Token, type TokenKind } from './lexer.js'

/**
 * Parentheses, signs and right-hand operands inside each other. libpcap's limit is the stack of its parser, some thousands;
 * this one keeps every walk of the tree within the stack of a worker thread.
 */
const NESTING_LIMIT = 200

export class TokenCursor {
  readonly text: string
  readonly #tokens: readonly (Token | BadToken)[]
  #at = 0
  #depth = 0

  constructor(text: string) {
    this.text = text
    this.#tokens = scan(text)
  }

  /** The next token. @throws FilterError where scanning failed. */
  peek(): Token {
    const token = this.#tokens[this.#at] as Token | BadToken
    if (token.kind === 'bad') throw new FilterError(token.reason, this.text, token)
    return token
  }

  /** The column after the token taken last. */
  get lastEnd(): number {
    return this.#tokens[this.#at - 1]?.end ?? 0
  }

  take(): Token {
    const token = this.peek()
    if (token.kind !== 'end') this.#at++
    return token
  }

  /** Takes the next token if it is of this kind. */
  skip(kind: TokenKind): boolean {
    const found = this.peek().kind === kind
    if (found) this.take()
    return found
  }

  expect(kind: TokenKind, what: string): Token {
    if (this.peek().kind !== kind) this.fail(`expected ${what}`)
    return this.take()
  }

  number(what: string): number {
    return this.expect('number', what).value
  }

  /** A syntax error at the next token. */
  fail(expected: string, hint?: string): never {
    const { kind, text } = this.peek()
    const found = kind === 'end' ? 'the expression ends' : `got '${text}'`
    throw new FilterError(`syntax error: ${expected}, ${found}`, this.text, this.peek(), hint)
  }

  failAt(reason: string, columns: Columns, hint?: string): never {
    throw new FilterError(reason, this.text, columns, hint)
  }

  /** Runs `inside` one level deeper. */
  nested<T>(inside: () => T): T {
    if (this.#depth === NESTING_LIMIT) this.failAt(`the filter expression is nested more than ${NESTING_LIMIT} levels deep`, this.peek())
    this.#depth++
    const result = inside()
    this.#depth--
    return result
  }
}
