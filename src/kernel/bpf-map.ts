/** eBPF maps: memory that programs and their readers share. */
import {
  BPF_ANY,
  BPF_ATTR_MAP_BATCH,
  BPF_ATTR_MAP_CREATE,
  BPF_ATTR_MAP_ELEM,
  BPF_MAP_CREATE,
  BPF_MAP_DELETE_BATCH,
  BPF_MAP_DELETE_ELEM,
  BPF_MAP_GET_NEXT_KEY,
  BPF_MAP_LOOKUP_BATCH,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_CPUMAP,
  BPF_MAP_TYPE_DEVMAP,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
  BPF_MAP_TYPE_PROG_ARRAY,
  BPF_MAP_TYPE_XSKMAP,
  BPF_MAP_UPDATE_BATCH,
  BPF_MAP_UPDATE_ELEM,
} from './abi/bpf.js'
import { type Attributes, bpfFailed, newAttributes, setPointer, writeName } from './bpf-call.js'
import { possibleCpus } from './cpus.js'
import { Descriptor } from './descriptor.js'
import { CAP_BPF, E2BIG, EINVAL, ENOENT, ENOSPC, ENOTSUPP } from './errno.js'
import type { Kernel } from './system.js'

const MAP_TYPES = {
  array: BPF_MAP_TYPE_ARRAY,
  percpu_array: BPF_MAP_TYPE_PERCPU_ARRAY,
  hash: BPF_MAP_TYPE_HASH,
  percpu_hash: BPF_MAP_TYPE_PERCPU_HASH,
  lru_hash: BPF_MAP_TYPE_LRU_HASH,
  lru_percpu_hash: BPF_MAP_TYPE_LRU_PERCPU_HASH,
  /** AF_XDP sockets by number; values are descriptors, and cannot be looked up. */
  xskmap: BPF_MAP_TYPE_XSKMAP,
  cpumap: BPF_MAP_TYPE_CPUMAP,
  devmap: BPF_MAP_TYPE_DEVMAP,
  /** Programs by number; values are descriptors when written and ids when read. */
  prog_array: BPF_MAP_TYPE_PROG_ARRAY,
} as const

/** As bpftool(8) calls them. */
export type BpfMapType = keyof typeof MAP_TYPES

export interface BpfMapShape {
  /** As `bpftool map` shows it, cut to 15 bytes; by convention it begins with `ringtap_`. Errors name the map by it. */
  name: string
  type: BpfMapType
  keyBytes: number
  /** Of one value; in a per-CPU map, of one CPU's. */
  valueBytes: number
  maxEntries: number
}

export interface BpfMapOptions extends BpfMapShape {
  /** BPF_F_* of BPF_MAP_CREATE. Default 0. */
  flags?: number | undefined
}

/** A key as it is in memory, or, where keys have 4 bytes, as the number that they are. */
export type MapKey = Uint8Array | number

/** Where a walk through a map is. */
export interface MapCursor {
  /** All elements have been seen. */
  readonly done: boolean
  /** Back to the start. */
  rewind(): void
}

class Cursor implements MapCursor {
  done = false
  started = false
  /** The kernel has no batches of this map: `key` is the last one. */
  single = false
  readonly token: Uint8Array<ArrayBuffer>
  readonly key: Uint8Array<ArrayBuffer>

  constructor(keyBytes: number) {
    // The kernel's own mark of the place: a bucket's number, or a key.
    this.token = new Uint8Array(new ArrayBuffer(Math.max(4, keyBytes)))
    this.key = this.token.subarray(0, keyBytes)
  }

  rewind(): void {
    this.done = false
    this.started = false
    this.single = false
  }
}

/**
 * A map. Look-ups of one element allocate nothing. Not to be shared between threads: each makes its own object over the
 * descriptor's number, with `over`.
 */
export class BpfMap implements Disposable {
  readonly name: string
  readonly type: BpfMapType
  readonly keyBytes: number
  readonly valueBytes: number
  readonly maxEntries: number
  /** Bytes from one CPU's value to the next; a map without values for each CPU has one. */
  readonly stride: number
  /** Bytes of a value as `lookup` gives and `update` takes it: in a per-CPU map, those of all possible CPUs. */
  readonly valueSize: number
  readonly #kernel: Kernel
  readonly #descriptor: Descriptor
  readonly #owner: boolean
  readonly #key: Uint8Array<ArrayBuffer>
  readonly #keyView: DataView
  readonly #value: Uint8Array<ArrayBuffer>
  readonly #nextKey: Uint8Array<ArrayBuffer>
  readonly #element: Attributes
  readonly #next: Attributes
  readonly #batch: Attributes

  /**
   * Makes a map; it lives as long as a descriptor of it or a program that uses it.
   * @throws CaptureError PERMISSION; SYSTEM_CALL_FAILED with EINVAL for sizes that the type does not take.
   */
  static create(kernel: Kernel, options: BpfMapOptions): BpfMap {
    const { bytes, view } = newAttributes(BPF_ATTR_MAP_CREATE.sizeof)
    view.setUint32(BPF_ATTR_MAP_CREATE.map_type, MAP_TYPES[options.type], true)
    view.setUint32(BPF_ATTR_MAP_CREATE.key_size, options.keyBytes, true)
    view.setUint32(BPF_ATTR_MAP_CREATE.value_size, options.valueBytes, true)
    view.setUint32(BPF_ATTR_MAP_CREATE.max_entries, options.maxEntries, true)
    view.setUint32(BPF_ATTR_MAP_CREATE.map_flags, options.flags ?? 0, true)
    writeName(bytes, BPF_ATTR_MAP_CREATE.map_name, options.name)
    const fd = kernel.bpf(BPF_MAP_CREATE, bytes)
    if (fd < 0) {
      const call = `bpf(BPF_MAP_CREATE, ${options.type}, key ${options.keyBytes}, value ${options.valueBytes}, ${options.maxEntries} entries)`
      throw bpfFailed({ subject: options.name, call, errno: fd, capability: CAP_BPF })
    }
    const descriptor = new Descriptor(kernel, fd)
    try {
      return new BpfMap(kernel, descriptor, true, options)
    } catch (error) {
      descriptor.close()
      throw error
    }
  }

  /** A map that someone else owns and keeps open. `shape` must be the map's. */
  static over(kernel: Kernel, fd: number, shape: BpfMapShape): BpfMap {
    return new BpfMap(kernel, new Descriptor(kernel, fd), false, shape)
  }

  private constructor(kernel: Kernel, descriptor: Descriptor, owner: boolean, shape: BpfMapShape) {
    this.name = shape.name
    this.type = shape.type
    this.keyBytes = shape.keyBytes
    this.valueBytes = shape.valueBytes
    this.maxEntries = shape.maxEntries
    const perCpu = shape.type.includes('percpu')
    this.stride = perCpu ? (shape.valueBytes + 7) & ~7 : shape.valueBytes
    this.valueSize = this.stride * (perCpu ? possibleCpus().length : 1)
    this.#kernel = kernel
    this.#descriptor = descriptor
    this.#owner = owner
    this.#key = new Uint8Array(new ArrayBuffer(shape.keyBytes))
    this.#keyView = new DataView(this.#key.buffer)
    this.#value = new Uint8Array(new ArrayBuffer(this.valueSize))
    this.#nextKey = new Uint8Array(new ArrayBuffer(shape.keyBytes))
    this.#element = newAttributes(BPF_ATTR_MAP_ELEM.sizeof)
    setPointer(kernel, this.#element, BPF_ATTR_MAP_ELEM.key, this.#key)
    setPointer(kernel, this.#element, BPF_ATTR_MAP_ELEM.value, this.#value)
    this.#next = newAttributes(BPF_ATTR_MAP_ELEM.sizeof)
    setPointer(kernel, this.#next, BPF_ATTR_MAP_ELEM.value, this.#nextKey)
    this.#batch = newAttributes(BPF_ATTR_MAP_BATCH.sizeof)
    this.#element.view.setUint32(BPF_ATTR_MAP_ELEM.map_fd, descriptor.fd, true)
    this.#next.view.setUint32(BPF_ATTR_MAP_ELEM.map_fd, descriptor.fd, true)
    this.#batch.view.setUint32(BPF_ATTR_MAP_BATCH.map_fd, descriptor.fd, true)
  }

  /** -1 after `close`. */
  get fd(): number {
    return this.#descriptor.fd
  }

  /** Copies the value of `key` into `into`, which has room for `valueSize` bytes; false when there is none. */
  lookup(key: MapKey, into: Uint8Array): boolean {
    this.#setKey(key)
    if (into.length < this.valueSize) throw new RangeError(`map ${this.name}: room for ${into.length} bytes, a value has ${this.valueSize}`)
    const result = this.#access(BPF_MAP_LOOKUP_ELEM, BPF_ANY)
    if (result === -ENOENT) return false
    if (result < 0) throw this.#failed('BPF_MAP_LOOKUP_ELEM', result)
    into.set(this.#value)
    return true
  }

  /**
   * Writes the value of `key`: `valueSize` bytes, or a number where values have 4.
   * @param flags BPF_ANY, BPF_NOEXIST or BPF_EXIST; default BPF_ANY
   */
  update(key: MapKey, value: Uint8Array | number, flags: number = BPF_ANY): void {
    this.#setKey(key)
    const bytes = typeof value === 'number' ? 4 : value.length
    if (bytes !== this.valueSize) throw new RangeError(`map ${this.name}: a value of ${bytes} bytes, expected ${this.valueSize}`)
    if (typeof value === 'number') new DataView(this.#value.buffer).setUint32(0, value, true)
    else this.#value.set(value)
    const result = this.#access(BPF_MAP_UPDATE_ELEM, flags)
    if (result < 0) throw this.#failed('BPF_MAP_UPDATE_ELEM', result)
  }

  /** False when there was none. Arrays cannot delete: EINVAL. */
  delete(key: MapKey): boolean {
    this.#setKey(key)
    // NB: the kernel wants what it does not use to be 0 (CHECK_ATTR).
    this.#element.view.setBigUint64(BPF_ATTR_MAP_ELEM.value, 0n, true)
    const result = this.#access(BPF_MAP_DELETE_ELEM, BPF_ANY)
    setPointer(this.#kernel, this.#element, BPF_ATTR_MAP_ELEM.value, this.#value)
    if (result === -ENOENT) return false
    if (result < 0) throw this.#failed('BPF_MAP_DELETE_ELEM', result)
    return true
  }

  /** Copies the key after `key` (undefined: the first) into `into`; false when that was the last. After a key that is no more, the first. */
  nextKey(key: MapKey | undefined, into: Uint8Array): boolean {
    if (key === undefined) this.#next.view.setBigUint64(BPF_ATTR_MAP_ELEM.key, 0n, true)
    else {
      this.#setKey(key)
      setPointer(this.#kernel, this.#next, BPF_ATTR_MAP_ELEM.key, this.#key)
    }
    const result = this.#kernel.bpf(BPF_MAP_GET_NEXT_KEY, this.#next.bytes)
    if (result === -ENOENT) return false
    if (result < 0) throw this.#failed('BPF_MAP_GET_NEXT_KEY', result)
    into.set(this.#nextKey)
    return true
  }

  /** For `lookupBatch`: one walk through the map. */
  cursor(): MapCursor {
    return new Cursor(this.keyBytes)
  }

  /**
   * Reads the next elements into `keys` and `values` and answers how many; both together say for how many there is room. An
   * answer of 0 does not mean the end, `cursor.done` does. Elements that come or go meanwhile may be missed or, in hashes that
   * have no batches (before Linux 5.6), be seen twice. A hash needs room for all elements of a bucket: some dozens do.
   */
  lookupBatch(cursor: MapCursor, keys: Uint8Array<ArrayBuffer>, values: Uint8Array<ArrayBuffer>): number {
    if (!(cursor instanceof Cursor)) throw new TypeError('a cursor of another map')
    const room = Math.min(Math.floor(keys.length / this.keyBytes), Math.floor(values.length / this.valueSize))
    if (room === 0) throw new RangeError(`map ${this.name}: room for no element (${keys.length} bytes of keys, ${values.length} of values)`)
    if (cursor.done) return 0
    if (cursor.single) return this.#lookupSingle(cursor, keys, values, room)
    const { view } = this.#batch
    if (cursor.started) setPointer(this.#kernel, this.#batch, BPF_ATTR_MAP_BATCH.in_batch, cursor.token)
    else view.setBigUint64(BPF_ATTR_MAP_BATCH.in_batch, 0n, true)
    setPointer(this.#kernel, this.#batch, BPF_ATTR_MAP_BATCH.out_batch, cursor.token)
    const result = this.#callBatch(BPF_MAP_LOOKUP_BATCH, keys, values, room, 0)
    const count = view.getUint32(BPF_ATTR_MAP_BATCH.count, true)
    if (result === 0 || result === -ENOENT) {
      cursor.started = true
      cursor.done = result === -ENOENT
      return count
    }
    if ((result === -EINVAL || result === -ENOTSUPP) && !cursor.started) {
      cursor.single = true
      return this.#lookupSingle(cursor, keys, values, room)
    }
    throw this.#failed(`BPF_MAP_LOOKUP_BATCH, room for ${room}`, result, result === -ENOSPC ? 'offer room for more elements' : undefined)
  }

  #lookupSingle(cursor: Cursor, keys: Uint8Array, values: Uint8Array, room: number): number {
    for (let count = 0; ; ) {
      if (count === room) return count
      if (!this.nextKey(cursor.started ? cursor.key : undefined, cursor.key)) {
        cursor.done = true
        return count
      }
      cursor.started = true
      if (!this.lookup(cursor.key, values.subarray(count * this.valueSize))) continue
      keys.set(cursor.key, count * this.keyBytes)
      count++
    }
  }

  /** Writes `count` elements; @param flags as `update`. */
  updateBatch(keys: Uint8Array<ArrayBuffer>, values: Uint8Array<ArrayBuffer>, count: number, flags: number = BPF_ANY): void {
    this.#requireBatch(keys, count, this.keyBytes)
    this.#requireBatch(values, count, this.valueSize)
    if (count === 0) return
    const result = this.#callBatch(BPF_MAP_UPDATE_BATCH, keys, values, count, flags)
    if (result === 0) return
    const done = this.#batch.view.getUint32(BPF_ATTR_MAP_BATCH.count, true)
    if (result !== -EINVAL && result !== -ENOTSUPP) throw this.#failed(`BPF_MAP_UPDATE_BATCH, ${done} of ${count} done`, result)
    // A kernel or a map without batches leaves the count as it was.
    for (let index = done === count ? 0 : done; index < count; index++) {
      this.update(
        keys.subarray(index * this.keyBytes, (index + 1) * this.keyBytes),
        values.subarray(index * this.valueSize, (index + 1) * this.valueSize),
        flags,
      )
    }
  }

  /** Deletes `count` elements; answers how many of them there were. */
  deleteBatch(keys: Uint8Array<ArrayBuffer>, count: number): number {
    this.#requireBatch(keys, count, this.keyBytes)
    let deleted = 0
    for (let index = 0; index < count; ) {
      const left = count - index
      const result = this.#callBatch(BPF_MAP_DELETE_BATCH, keys.subarray(index * this.keyBytes), undefined, left, 0)
      if (result === 0) return deleted + left
      const done = this.#batch.view.getUint32(BPF_ATTR_MAP_BATCH.count, true)
      if (result === -ENOENT) {
        // It stops at a key that is not there.
        deleted += done
        index += done + 1
      } else if (result === -EINVAL || result === -ENOTSUPP) {
        const from = done === left ? index : index + done
        if (from > index) deleted += done
        for (index = from; index < count; index++) if (this.delete(keys.subarray(index * this.keyBytes, (index + 1) * this.keyBytes))) deleted++
      } else throw this.#failed(`BPF_MAP_DELETE_BATCH, ${deleted + done} of ${count} done`, result)
    }
    return deleted
  }

  /** Closes the descriptor, if this object owns it. Idempotent. */
  close(): void {
    if (this.#owner) this.#descriptor.close()
    else this.#descriptor.forget()
    for (const { view } of [this.#element, this.#next]) view.setInt32(BPF_ATTR_MAP_ELEM.map_fd, -1, true)
    this.#batch.view.setInt32(BPF_ATTR_MAP_BATCH.map_fd, -1, true)
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #setKey(key: MapKey): void {
    const bytes = typeof key === 'number' ? 4 : key.length
    if (bytes !== this.keyBytes) throw new RangeError(`map ${this.name}: a key of ${bytes} bytes, expected ${this.keyBytes}`)
    if (typeof key === 'number') this.#keyView.setUint32(0, key, true)
    else this.#key.set(key)
  }

  #access(command: number, flags: number): number {
    this.#element.view.setUint32(BPF_ATTR_MAP_ELEM.flags, flags, true)
    return this.#kernel.bpf(command, this.#element.bytes)
  }

  #callBatch(command: number, keys: Uint8Array<ArrayBuffer>, values: Uint8Array<ArrayBuffer> | undefined, count: number, flags: number): number {
    setPointer(this.#kernel, this.#batch, BPF_ATTR_MAP_BATCH.keys, keys)
    if (values === undefined) this.#batch.view.setBigUint64(BPF_ATTR_MAP_BATCH.values, 0n, true)
    else setPointer(this.#kernel, this.#batch, BPF_ATTR_MAP_BATCH.values, values)
    this.#batch.view.setUint32(BPF_ATTR_MAP_BATCH.count, count, true)
    this.#batch.view.setUint32(BPF_ATTR_MAP_BATCH.elem_flags, flags, true)
    return this.#kernel.bpf(command, this.#batch.bytes)
  }

  #requireBatch(bytes: Uint8Array, count: number, each: number): void {
    if (bytes.length < count * each) throw new RangeError(`map ${this.name}: ${bytes.length} bytes for ${count} elements of ${each}`)
  }

  #failed(call: string, errno: number, hint?: string): Error {
    const said = hint ?? (errno === -E2BIG ? `the map has room for ${this.maxEntries} elements` : undefined)
    return bpfFailed({ subject: `map ${this.name}`, call: `bpf(${call})`, errno, ...(said === undefined ? {} : { hint: said }) })
  }
}

/** The one value of an array map, as 64-bit words. Owns no descriptor. */
export class BpfCell {
  readonly #map: BpfMap
  readonly #bytes: Uint8Array
  /** As `read` found it, and what `write` writes. */
  readonly words: BigUint64Array

  static create(kernel: Kernel, name: string, words: number): BpfMap {
    return BpfMap.create(kernel, cellShape(name, words))
  }

  constructor(kernel: Kernel, fd: number, words: number) {
    this.#map = BpfMap.over(kernel, fd, cellShape('cell', words))
    this.words = new BigUint64Array(words)
    this.#bytes = new Uint8Array(this.words.buffer)
  }

  read(): void {
    this.#map.lookup(0, this.#bytes)
  }

  write(): void {
    this.#map.update(0, this.#bytes)
  }
}

function cellShape(name: string, words: number): BpfMapShape {
  return { name, type: 'array', keyBytes: 4, valueBytes: words * 8, maxEntries: 1 }
}
