/**
 * Time stamps of 64 bits, as two halves, to whole seconds and nanoseconds: exact for every resolution down to nanoseconds, cut to
 * the nanosecond for finer ones. Without BigInt, 5 ns a packet (microseconds) to 8 (nanoseconds). Pure.
 */

const TWO_32 = 2 ** 32
const NANOSECONDS = 1_000_000_000
const DIGITS = 9

/** if_tsresol of pcapng: the lower seven bits are a negative power of 10 or, with the upper bit, of 2. */
export class TickScale {
  /** Ticks a second. */
  readonly ticksPerSecond: number
  /** Added to the seconds, if_tsoffset. */
  readonly offsetSeconds: number
  readonly #exponent: number
  readonly #isBinary: boolean
  /** Of a power of ten up to 9: ticks a second, and nanoseconds a tick. */
  readonly #units: number
  readonly #nanoseconds: number
  #high = 0
  #low = 0
  /** What the last `convert` made. */
  seconds = 0
  nanoseconds = 0

  constructor(tsresol = 6, offsetSeconds = 0) {
    const exponent = tsresol & 0x7f
    this.#exponent = exponent
    this.#isBinary = (tsresol & 0x80) !== 0
    this.ticksPerSecond = (this.#isBinary ? 2 : 10) ** exponent
    this.offsetSeconds = offsetSeconds
    const digits = Math.min(exponent, DIGITS)
    this.#units = 10 ** digits
    this.#nanoseconds = 10 ** (DIGITS - digits)
  }

  /** Both halves are unsigned 32-bit numbers. */
  convert(high: number, low: number): void {
    if (this.#isBinary) this.#convertBinary(high, low)
    else if (this.#exponent <= DIGITS) this.#divide(high, low)
    else this.#convertFine(high, low)
    this.seconds += this.offsetSeconds
  }

  /** Long division in digits of 16 bits: no intermediate reaches 2^53, so every quotient is exact. */
  #divide(high: number, low: number): void {
    const units = this.#units
    let rest = high
    let seconds = 0
    if (high >= units) {
      seconds = Math.floor(high / units)
      rest = high - seconds * units
    }
    let part = rest * 65536 + (low >>> 16)
    let quotient = Math.floor(part / units)
    rest = part - quotient * units
    seconds = seconds * 65536 + quotient
    part = rest * 65536 + (low & 0xffff)
    quotient = Math.floor(part / units)
    this.seconds = seconds * 65536 + quotient
    this.nanoseconds = (part - quotient * units) * this.#nanoseconds
  }

  /** Finer than nanoseconds: what is below them is cut off first. */
  #convertFine(high: number, low: number): void {
    this.#high = high
    this.#low = low
    let digits = this.#exponent - DIGITS
    while (digits > 0 && (this.#high !== 0 || this.#low !== 0)) {
      const step = Math.min(digits, DIGITS)
      this.#cut(10 ** step)
      digits -= step
    }
    this.#divide(this.#high, this.#low)
  }

  #cut(divisor: number): void {
    const high = Math.floor(this.#high / divisor)
    let part = (this.#high - high * divisor) * 65536 + (this.#low >>> 16)
    const upper = Math.floor(part / divisor)
    part = (part - upper * divisor) * 65536 + (this.#low & 0xffff)
    this.#high = high
    this.#low = upper * 65536 + Math.floor(part / divisor)
  }

  #convertBinary(high: number, low: number): void {
    const bits = this.#exponent
    let fractionHigh = high
    let fractionLow = low
    if (bits === 0) {
      this.seconds = high * TWO_32 + low
      fractionHigh = 0
      fractionLow = 0
    } else if (bits < 32) {
      this.seconds = high * 2 ** (32 - bits) + (low >>> bits)
      fractionHigh = 0
      fractionLow = (low & (2 ** bits - 1)) >>> 0
    } else if (bits < 64) {
      // NB: a shift by 32 is one by 0.
      this.seconds = bits === 32 ? high : high >>> (bits - 32)
      fractionHigh = bits === 32 ? 0 : (high & (2 ** (bits - 32) - 1)) >>> 0
    } else this.seconds = 0
    this.nanoseconds = binaryNanoseconds(fractionHigh, fractionLow, bits)
  }
}

/** fraction x 10^9 / 2^bits, rounded down. The product has up to 94 bits: digits of 16, and a last one of 30. */
function binaryNanoseconds(high: number, low: number, bits: number): number {
  let carry = (low & 0xffff) * NANOSECONDS
  const first = carry % 65536
  carry = Math.floor(carry / 65536) + (low >>> 16) * NANOSECONDS
  const second = carry % 65536
  carry = Math.floor(carry / 65536) + (high & 0xffff) * NANOSECONDS
  const third = carry % 65536
  carry = Math.floor(carry / 65536) + (high >>> 16) * NANOSECONDS
  // What is left is product / 2^48, exact below 2^53; shifts by powers of two are exact, and each digit is below its place.
  if (bits >= 48) return Math.floor(carry / 2 ** (bits - 48))
  if (bits >= 32) return carry * 2 ** (48 - bits) + Math.floor(third / 2 ** (bits - 32))
  if (bits >= 16) return (carry * 65536 + third) * 2 ** (32 - bits) + Math.floor(second / 2 ** (bits - 16))
  return ((carry * 65536 + third) * 65536 + second) * 2 ** (16 - bits) + Math.floor(first / 2 ** bits)
}
