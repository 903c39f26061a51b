/** What is wrong with a filter expression, and where. Pure. */
import { CaptureError } from '../errors.js'

/** Columns of the text of an expression, from 0; `end` is the first one after. */
export interface Columns {
  start: number
  end: number
}

/** INVALID_FILTER, with the place of what is wrong. The message is one line and says the reason alone. */
export class FilterError extends CaptureError {
  /** The whole expression. */
  readonly text: string
  readonly start: number
  readonly end: number

  constructor(message: string, text: string, { start, end }: Columns, hint?: string) {
    super('INVALID_FILTER', oneLine(message), { hint: hint === undefined ? undefined : oneLine(hint) })
    this.text = text
    this.start = start
    this.end = end
  }
}

/** A word of a hostile expression may be 64 KiB long and hold anything. */
function oneLine(message: string): string {
  const line = printable(message)
  return line.length <= MESSAGE_LENGTH ? line : `${line.slice(0, MESSAGE_LENGTH - 1)}…`
}

/** Without what would break the line or reach a terminal as an order: white space is a blank, control characters are question marks. */
export function printable(text: string): string {
  return text.replace(/[\t\n\r]+/g, ' ').replace(/\p{Cc}/gu, '?')
}

const MESSAGE_LENGTH = 200

/** Characters of the expression that are shown to each side of what is wrong. */
const CONTEXT = 60

/**
 * The line of the expression that is wrong, and below it carets under what is wrong:
 *
 *     tcp port htpp
 *              ^^^^
 */
export function underlineError({ text, start, end }: FilterError): string {
  const at = Math.min(start, text.length)
  const lineStart = text.lastIndexOf('\n', at - 1) + 1
  const lineBreak = text.indexOf('\n', at)
  const lineEnd = lineBreak < 0 ? text.length : lineBreak
  const markEnd = Math.max(at + 1, Math.min(end, lineEnd, at + CONTEXT))
  const from = at - lineStart > CONTEXT ? at - CONTEXT : lineStart
  const to = lineEnd - markEnd > CONTEXT ? markEnd + CONTEXT : lineEnd
  const before = from > lineStart ? '…' : ''
  const after = to < lineEnd ? '…' : ''
  // A column of the terminal for a column of the text: tabs and what does not print become one blank each.
  const shown = text.slice(from, to).replace(/[^\u0020-\u007e]/g, ' ')
  return `${before}${shown}${after}\n${' '.repeat(before.length + at - from)}${'^'.repeat(markEnd - at)}`
}
