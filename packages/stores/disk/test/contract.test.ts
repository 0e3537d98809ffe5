// The disk store keeps the contract.
import { diskStore } from '@simple-cdn/store-disk'
import { testStore } from '@simple-cdn/testing'
import { newFolder } from './helpers.ts'

testStore({ name: 'disk', create: ({ maxBytes }) => diskStore({ folder: newFolder(), maxBytes }) })
