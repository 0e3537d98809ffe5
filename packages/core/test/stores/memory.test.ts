// The memory store keeps the contract.
import { memoryStore } from '@simple-cdn/core'
import { testStore } from '@simple-cdn/testing'

testStore({ name: 'memory', create: memoryStore })
