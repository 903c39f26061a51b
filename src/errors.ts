/**
 * The one error type that users meet. A message names the subject, the call, its values and the errno; `hint` is the next
 * thing to try. `code` is part of the API: test it, not the message.
 */

export const CAPTURE_ERROR_CODES = [
  /** An option has a wrong type, range or unit, or contradicts another. */
  'INVALID_OPTION',
  /** A filter expression is not one, or names what does not exist. */
  'INVALID_FILTER',
  /** No interface of that name in this network namespace. */
  'NO_SUCH_INTERFACE',
  /** The interface exists but is not up. */
  'INTERFACE_DOWN',
  /** The interface was unregistered while the capture ran. */
  'INTERFACE_REMOVED',
  /** The link type is not Ethernet (ARPHRD_ETHER or ARPHRD_LOOPBACK). */
  'UNSUPPORTED_LINK_TYPE',
  /** A capability is missing (CAP_NET_RAW, CAP_NET_ADMIN, CAP_SYS_ADMIN). */
  'PERMISSION',
  /** The network namespace does not exist. */
  'NO_SUCH_NAMESPACE',
  /** AF_XDP would take away the packets of an interface that this host uses itself, a replay would reach the network behind it, or tuning could cut it off. */
  'INTERFACE_IN_USE',
  /** The kernel could not or would not make the ring. */
  'RING_REFUSED',
  /** The kernel refused the fanout group, mode or member. */
  'FANOUT_REFUSED',
  /** The kernel or the driver refused the XDP program, or another one holds the interface. */
  'XDP_REFUSED',
  /** The handler module is missing, or exports no handler. */
  'HANDLER_NOT_LOADED',
  /** A function of the handler threw, and `cause` is what; or it gave up packets that it had not. */
  'HANDLER_FAILED',
  /** A worker thread ended without being asked to. */
  'WORKER_FAILED',
  /** Not a capture file, or a damaged one: what stands before the damage has been read. */
  'INVALID_FILE',
  /** A file could not be opened, read, written, renamed or removed. */
  'FILE_FAILED',
  /** A step of tuning failed or took no effect: the message says that all was undone, or what was not. Or a journal is of another interface. */
  'TUNING_FAILED',
  /** Any other system call that failed. */
  'SYSTEM_CALL_FAILED',
  /** Not Linux, not little-endian, or a Node.js without external array buffers. */
  'UNSUPPORTED_PLATFORM',
] as const

export type CaptureErrorCode = (typeof CAPTURE_ERROR_CODES)[number]

export interface CaptureErrorOptions {
  /** The next thing to try, one sentence or a command. */
  hint?: string | undefined
  /** Name of the system call or socket option, as in section 2 of the manual. */
  syscall?: string | undefined
  /** The positive error number. */
  errno?: number | undefined
  /** Its name, such as `EPERM`. */
  errnoName?: string | undefined
  cause?: unknown
}

export class CaptureError extends Error {
  override readonly name = 'CaptureError'
  readonly code: CaptureErrorCode
  readonly hint: string | undefined
  readonly syscall: string | undefined
  readonly errno: number | undefined
  readonly errnoName: string | undefined

  constructor(code: CaptureErrorCode, message: string, options: CaptureErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.hint = options.hint
    this.syscall = options.syscall
    this.errno = options.errno
    this.errnoName = options.errnoName
  }
}

/** What crosses a thread boundary: structured clone drops the fields of an Error's subclass. */
export interface PlainCaptureError extends CaptureErrorOptions {
  code: CaptureErrorCode
  message: string
  stack: string | undefined
}

export function toPlainError(error: unknown, fallback: CaptureErrorCode): PlainCaptureError {
  if (error instanceof CaptureError) {
    const { code, message, stack, hint, syscall, errno, errnoName, cause } = error
    return { code, message, stack, hint, syscall, errno, errnoName, cause: plainCause(cause) }
  }
  const thrown = error instanceof Error ? error : new Error(String(error))
  return { code: fallback, message: thrown.message, stack: thrown.stack, cause: plainCause(error) }
}

export function fromPlainError(plain: PlainCaptureError): CaptureError {
  const error = new CaptureError(plain.code, plain.message, plain)
  if (plain.stack !== undefined) error.stack = plain.stack
  return error
}

/** A cause may hold functions, which structured clone refuses; an Error or its text always passes. */
function plainCause(cause: unknown): unknown {
  if (cause === undefined) return undefined
  if (cause instanceof Error) {
    const copy = new Error(cause.message)
    copy.name = cause.name
    if (cause.stack !== undefined) copy.stack = cause.stack
    return copy
  }
  return typeof cause === 'object' || typeof cause === 'function' || typeof cause === 'symbol' ? String(cause) : cause
}
