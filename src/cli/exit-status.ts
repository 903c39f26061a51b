/** From what was thrown to what the user reads, and the exit status. */
import { inspect } from 'node:util'
import type { CaptureError, CaptureErrorCode } from '../index.js'
import type { CommandRow } from './table.js'
import { UsageError } from './usage-error.js'

export const EXIT = { done: 0, failed: 1, usage: 2, refused: 3 } as const

const STATUS_OF: Partial<Record<CaptureErrorCode, number>> = {
  INVALID_OPTION: EXIT.usage,
  INVALID_FILTER: EXIT.usage,
  INTERFACE_IN_USE: EXIT.usage,
  XDP_REFUSED: EXIT.refused,
  PERMISSION: EXIT.refused,
  UNSUPPORTED_PLATFORM: EXIT.refused,
  UNSUPPORTED_LINK_TYPE: EXIT.refused,
}

export interface Failure {
  status: number
  message: string
  hint: string | undefined
  /** The error's code, where it has one. */
  code: string | undefined
}

export function describeFailure(error: unknown, command?: CommandRow): Failure {
  const failure = describe(error, command)
  return command?.failureStatus === undefined ? failure : { ...failure, status: command.failureStatus }
}

function describe(error: unknown, command?: CommandRow): Failure {
  if (error instanceof UsageError) return { status: EXIT.usage, message: oneLine(error.message), hint: error.hint, code: 'USAGE' }
  if (isCaptureError(error)) {
    const inUserTerms = (text: string): string => oneLine(command === undefined ? text : optionNames(text, command))
    return {
      status: STATUS_OF[error.code] ?? EXIT.failed,
      message: inUserTerms(error.message),
      hint: error.hint === undefined ? undefined : inUserTerms(error.hint),
      code: error.code,
    }
  }
  const message = error instanceof Error ? error.message : inspect(error)
  return { status: EXIT.failed, message: oneLine(message), hint: 'RINGTAP_DEBUG=1 shows where this comes from', code: undefined }
}

/** The lines for stderr. */
export function failureLines(failure: Failure): string[] {
  return failure.hint === undefined ? [`ringtap: ${failure.message}`] : [`ringtap: ${failure.message}`, `  ${failure.hint}`]
}

/** The same for a program that reads stdout. */
export function failureDocument(failure: Failure): object {
  return { type: 'error', code: failure.code ?? null, message: failure.message, hint: failure.hint ?? null }
}

/** By name, so that an error message does not cost loading the library. */
function isCaptureError(error: unknown): error is CaptureError {
  return error instanceof Error && error.name === 'CaptureError' && 'code' in error
}

/**
 * The library says `ringBytes`, its user on the command line knows `--ring`. A name that is also an English word is meant as a name
 * only where the sentence says so: "expected count to be", "with tolerant set".
 */
function optionNames(text: string, command: CommandRow): string {
  let named = text.replaceAll(/\bringHold\b/g, '--ring')
  for (const option of command.options) {
    if (option.api === undefined) continue
    const name = option.api.replaceAll('.', '\\.')
    const places = /[a-z][A-Z.]/.test(option.api) ? `()\\b${name}\\b` : `\\b(option |[Ee]xpected |with )${name}(?= to be | set )`
    named = named.replaceAll(new RegExp(places, 'g'), (_, before: string) => `${before}--${option.name}`)
  }
  return named
}

function oneLine(text: string): string {
  return text.trim().replaceAll(/\s*\n\s*/g, ' ')
}
