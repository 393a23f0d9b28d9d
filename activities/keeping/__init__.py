"""What keeps the factory tidy: jobs that nobody will end, objects that nobody refers to, histories worth keeping."""
