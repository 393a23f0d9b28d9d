"""What the published recipe has and this factory does not build yet: one table, one clear answer.

A line leaves this table in the commit that brings its field into `domain.recipe.schema`.
"""

LATER_FIELDS: dict[str, str] = {
    "features": "List the packages in `packages` and the services in `services` instead.",
    "custom_packages": "Build the package beforehand; own packages cannot be given yet.",
    "extra_repos": "Only the base image's own package sources can be used yet.",
    "package_overrides": "Change `packages` itself: add or leave out the package.",
    "security": "Harden the image with `packages` and `startupScripts` for now.",
    "desktop": "Install a desktop by `packages`; it cannot be configured yet.",
}

LATER_BASES: frozenset[str] = frozenset({"ubuntu-noble"})

LATER_SERVICE_CONFIG: dict[str, str] = {
    "nginx": "Leave `config` out, name the package in `packages`, and write the site in a start-up script.",
    "vpn": "Leave the service out, name wireguard in `packages`, and set it up in a start-up script.",
}
