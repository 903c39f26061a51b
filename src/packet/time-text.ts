/**
 * When a packet was, in the forms of tcpdump's -t options. A Date is made once a second: the local time of a second is kept. Times before
 * 1970 are printed, which tcpdump does not; what neither a Date nor an exact number can say is, in tcpdump's words, an error of converting.
 */
import type { TextOutput } from './text-output.js'

/**
 * `local` is `12:34:56.789012`, `none` nothing (-t), `epoch` seconds since 1970 (-tt), `previous` since the packet before (-ttt),
 * `date` date and local time (-tttt), `first` since the first packet (-ttttt).
 */
export type TimeFormat = (typeof TIME_FORMATS)[number]

export const TIME_FORMATS = ['local', 'none', 'epoch', 'previous', 'date', 'first'] as const

const NANOSECONDS_A_SECOND = 1_000_000_000
const UNKNOWN = '[Error converting time]'

export class TimeText {
  readonly #format: TimeFormat
  readonly #nano: boolean
  /** The second that `#second` is the local time of: at first none, which NaN is equal to. */
  #known = Number.NaN
  /** Empty for a second that Date does not know. */
  #second = ''
  /** What times are counted from; tcpdump takes 0 for not yet known. */
  #fromSeconds = 0
  #fromFraction = 0

  /** With `nano` nine places, else six. */
  constructor(format: TimeFormat, nano: boolean) {
    this.#format = format
    this.#nano = nano
  }

  /** With a space behind, except of `none`. */
  write(out: TextOutput, seconds: number, nanoseconds: number): void {
    const fraction = this.#nano ? nanoseconds : Math.floor(nanoseconds / 1000)
    switch (this.#format) {
      case 'none':
        return
      case 'epoch':
        if (seconds < 0 || seconds > Number.MAX_SAFE_INTEGER) {
          this.#writeUncommon(out, seconds, fraction)
          return
        }
        out.decimal(seconds)
        break
      case 'previous':
      case 'first':
        this.#writeDifference(out, seconds, fraction)
        return
      default:
        if (seconds !== this.#known) this.#enter(seconds)
        if (this.#second === '') {
          writeUnknown(out)
          return
        }
        out.text(this.#second)
    }
    this.#writeFraction(out, fraction)
  }

  get #fractions(): number {
    return this.#nano ? NANOSECONDS_A_SECOND : NANOSECONDS_A_SECOND / 1000
  }

  /** Seconds since 1970 that are less than none: -1 and a quarter is -0.75. */
  #writeUncommon(out: TextOutput, seconds: number, fraction: number): void {
    if (!Number.isSafeInteger(seconds)) {
      writeUnknown(out)
      return
    }
    out.char(0x2d)
    out.decimal(fraction === 0 ? -seconds : -seconds - 1)
    this.#writeFraction(out, fraction === 0 ? 0 : this.#fractions - fraction)
  }

  #writeFraction(out: TextOutput, fraction: number): void {
    out.char(0x2e)
    out.padded(fraction, this.#nano ? 9 : 6)
    out.char(0x20)
  }

  #enter(seconds: number): void {
    const date = new Date(seconds * 1000)
    this.#known = seconds
    this.#second = ''
    if (Number.isNaN(date.getTime())) return
    const two = (value: number): string => String(value).padStart(2, '0')
    const day = this.#format === 'date' ? `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ` : ''
    this.#second = `${day}${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
  }

  #writeDifference(out: TextOutput, seconds: number, fraction: number): void {
    if (this.#fromSeconds === 0 && this.#fromFraction === 0) {
      this.#fromSeconds = seconds
      this.#fromFraction = fraction
    }
    if (!(Number.isSafeInteger(seconds) && Number.isSafeInteger(this.#fromSeconds))) {
      out.char(0x20)
      writeUnknown(out)
      this.#countFrom(seconds, fraction)
      return
    }
    let wholes = seconds - this.#fromSeconds
    let parts = fraction - this.#fromFraction
    const negative = wholes < 0 || (wholes === 0 && parts < 0)
    if (negative) {
      wholes = -wholes
      parts = -parts
    }
    if (parts < 0) {
      wholes--
      parts += this.#fractions
    }
    out.char(negative ? 0x2d : 0x20)
    out.padded(Math.floor(wholes / 3600) % 24, 2)
    out.char(0x3a)
    out.padded(Math.floor(wholes / 60) % 60, 2)
    out.char(0x3a)
    out.padded(wholes % 60, 2)
    this.#writeFraction(out, parts)
    this.#countFrom(seconds, fraction)
  }

  /** The next packet, where it is counted from the one before. */
  #countFrom(seconds: number, fraction: number): void {
    if (this.#format !== 'previous') return
    this.#fromSeconds = seconds
    this.#fromFraction = fraction
  }
}

function writeUnknown(out: TextOutput): void {
  out.text(UNKNOWN)
  out.char(0x20)
}
