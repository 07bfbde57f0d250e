-- Workers take the declaration from here, masks included. NULL: installed by an older release, which kept them in the file.
ALTER TABLE syncline.entity ADD COLUMN IF NOT EXISTS mask text[];
COMMENT ON COLUMN syncline.entity.mask IS 'Fields whose values no report shows.';
