/**
 * Text that grows: ASCII in one byte array, so that printing a packet makes no string and the whole goes to a file descriptor as it is.
 * Constant text costs 2 ns a character, written by charCodeAt; arrays of bytes in place of the strings would take 1.4.
 */

const INITIAL_BYTES = 1 << 16
const ZERO = 0x30
const COLON = 0x3a
const DOT = 0x2e
const INT32_MAX = 0x7fff_ffff

/** Longest of what is written without asking for each byte: an IPv6 address with an IPv4 address in it. */
const LONGEST_FIELD = 48

export class TextOutput {
  /** The text is its first `length` bytes. Replaced as it grows. */
  output: Uint8Array<ArrayBuffer> = new Uint8Array(INITIAL_BYTES)
  length = 0

  /** Forgets the text and keeps the memory. */
  clear(): void {
    this.length = 0
  }

  /** The text from `start` on. */
  toText(start = 0): string {
    return Buffer.from(this.output.buffer, start, this.length - start).toString('latin1')
  }

  /** Makes room for `count` bytes more. */
  reserve(count: number): void {
    if (this.length + count > this.output.length) this.#grow(count)
  }

  #grow(count: number): void {
    const larger = new Uint8Array(Math.max(2 * this.output.length, this.length + count))
    larger.set(this.output)
    this.output = larger
  }

  /** ASCII. */
  text(text: string): void {
    const count = text.length
    let at = this.length
    if (at + count > this.output.length) this.#grow(count)
    const output = this.output
    for (let i = 0; i < count; i++) output[at++] = text.charCodeAt(i)
    this.length = at
  }

  /** One byte, as it is. */
  char(code: number): void {
    if (this.length === this.output.length) this.#grow(1)
    this.output[this.length++] = code
  }

  /** A byte that may be any: control characters as `^X`, those above 127 as `M-x`, as tcpdump prints names. */
  printable(byte: number): void {
    let code = byte
    if (code > 0x7f) {
      code &= 0x7f
      this.text('M-')
    }
    if (code < 0x20 || code === 0x7f) {
      code ^= 0x40
      this.char(0x5e)
    }
    this.char(code)
  }

  /** A whole number, 0 to 2^53. */
  decimal(value: number): void {
    if (value < 10) {
      this.char(ZERO + value)
      return
    }
    if (value > INT32_MAX) {
      // Not as 32-bit integers: the last digit apart.
      const tens = Math.floor(value / 10)
      this.decimal(tens)
      this.char(ZERO + (value - tens * 10))
      return
    }
    this.reserve(10)
    const left = value | 0
    let digits = 2
    if (left >= 10000)
      digits = left >= 1_000_000 ? (left >= 100_000_000 ? (left >= 1_000_000_000 ? 10 : 9) : left >= 10_000_000 ? 8 : 7) : left >= 100_000 ? 6 : 5
    else if (left >= 100) digits = left >= 1000 ? 4 : 3
    this.#digits(left, digits)
  }

  /** With zeros in front to `digits` places. */
  padded(value: number, digits: number): void {
    this.reserve(digits)
    this.#digits(value | 0, digits)
  }

  #digits(value: number, digits: number): void {
    const output = this.output
    const end = (this.length + digits) | 0
    let left = value | 0
    for (let at = (end - 1) | 0; at >= this.length; at--) {
      const tens = (left / 10) | 0
      output[at] = ZERO + left - tens * 10
      left = tens
    }
    this.length = end
  }

  /** Lower-case hexadecimal of an unsigned 32-bit number, with zeros in front to `digits` places. */
  hex(value: number, digits = 1): void {
    let places = digits
    while (places < 8 && value >>> (4 * places) !== 0) places++
    this.reserve(8)
    const output = this.output
    let at = this.length
    for (let shift = 4 * (places - 1); shift >= 0; shift -= 4) {
      const digit = (value >>> shift) & 15
      output[at++] = digit < 10 ? ZERO + digit : 0x57 + digit
    }
    this.length = at
  }

  #byteAsDecimal(byte: number): void {
    const output = this.output
    let at = this.length
    if (byte >= 100) {
      const hundreds = byte >= 200 ? 2 : 1
      const rest = byte - 100 * hundreds
      const tens = (rest / 10) | 0
      output[at++] = ZERO + hundreds
      output[at++] = ZERO + tens
      output[at++] = ZERO + rest - 10 * tens
    } else if (byte >= 10) {
      const tens = (byte / 10) | 0
      output[at++] = ZERO + tens
      output[at++] = ZERO + byte - 10 * tens
    } else {
      output[at++] = ZERO + byte
    }
    this.length = at
  }

  /** `192.0.2.1`, of four bytes. */
  ipv4(bytes: Uint8Array, offset: number): void {
    this.reserve(LONGEST_FIELD)
    this.#byteAsDecimal(bytes[offset] as number)
    this.output[this.length++] = DOT
    this.#byteAsDecimal(bytes[offset + 1] as number)
    this.output[this.length++] = DOT
    this.#byteAsDecimal(bytes[offset + 2] as number)
    this.output[this.length++] = DOT
    this.#byteAsDecimal(bytes[offset + 3] as number)
  }

  /** `2001:db8::1`, of sixteen bytes; IPv4-mapped and IPv4-compatible ones end as IPv4, as tcpdump has them. */
  ipv6(bytes: Uint8Array, offset: number): void {
    this.reserve(LONGEST_FIELD)
    // The longest run of zeros, the first of equals.
    let best = -1
    let longest = 1
    let run = 0
    for (let group = 0; group < 8; group++) {
      if (((bytes[offset + 2 * group] as number) | (bytes[offset + 2 * group + 1] as number)) !== 0) {
        run = 0
      } else if (++run > longest) {
        longest = run
        best = group - run + 1
      }
    }
    const mapped = longest === 5 && (bytes[offset + 10] as number) === 0xff && (bytes[offset + 11] as number) === 0xff
    const embedded = best === 0 && (longest === 6 || mapped)
    const groups = embedded ? 6 : 8
    for (let group = 0; group < groups; group++) {
      if (group === best) {
        this.output[this.length++] = COLON
        group += longest - 1
        if (group === 7) this.output[this.length++] = COLON
        continue
      }
      if (group !== 0) this.output[this.length++] = COLON
      this.hex(((bytes[offset + 2 * group] as number) << 8) | (bytes[offset + 2 * group + 1] as number))
    }
    if (embedded) {
      this.output[this.length++] = COLON
      this.ipv4(bytes, offset + 12)
    }
  }

  /** `02:00:5e:10:00:01`, of so many bytes. */
  colonHex(bytes: Uint8Array, offset: number, count = 6): void {
    this.reserve(3 * count)
    const output = this.output
    let at = this.length
    for (let i = 0; i < count; i++) {
      const byte = bytes[offset + i] as number
      const high = byte >>> 4
      const low = byte & 15
      if (i > 0) output[at++] = COLON
      output[at++] = high < 10 ? ZERO + high : 0x57 + high
      output[at++] = low < 10 ? ZERO + low : 0x57 + low
    }
    this.length = at
  }

  /** `02005e100001`. */
  plainHex(bytes: Uint8Array, offset: number, count: number): void {
    for (let i = 0; i < count; i++) this.hex(bytes[offset + i] as number, 2)
  }
}
